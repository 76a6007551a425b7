"""The time limits and intervals of reading an agent's stream."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StreamTimes:
    """All in seconds."""

    lost_after: float = 15.0  # without a connection before it is said
    behind: float = 2.0  # that the recorder may be behind the stream itself
    away_limit: float = 60.0  # without an answer, after which the gap is shown
    again: float = 0.5  # between looks
    make_sure: float = 60.0  # between checks that the recorder runs
