"""How long the reading of an agent's stream waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StreamTimes:
    """All in seconds."""

    lost_after: float = 15.0  # without a connection, until it is said
    behind: float = 2.0  # that the recorder may be behind the stream itself
    away_limit: float = 60.0  # that the recorder does not answer, after which the gap is shown
    again: float = 0.5  # between looks at the recording
    make_sure: float = 60.0  # between looks whether the recorder runs
