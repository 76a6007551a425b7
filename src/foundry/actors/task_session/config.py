"""What the composition root gives the TaskSession kind: its time limits."""

from __future__ import annotations

from datetime import timedelta
from typing import cast

from foundry.actors.watchdog import Watchdog
from foundry.runtime.turn import Turn


def watchdog(turn: Turn) -> Watchdog:
    return cast(Watchdog, turn.config)


def limit(turn: Turn, what: str) -> timedelta:
    """How long this may last."""
    return watchdog(turn).limit(what)
