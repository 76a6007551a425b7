"""The Task actor's configuration, set by app.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from foundry.actors.watchdog import WATCHDOG, Watchdog
from foundry.runtime.turn import Turn


@dataclass(frozen=True)
class TaskConfig:
    """
    Args:
        idle: how long nobody uses a sandbox before it is stopped; None: it never is.
        archived: how long an archived task's sandbox is kept, stopped; None: not at all.
    """

    watchdog: Watchdog = WATCHDOG
    idle: timedelta | None = None
    archived: timedelta | None = None


def config(turn: Turn) -> TaskConfig:
    return cast(TaskConfig, turn.config)
