"""The Task actor's configuration, set by app.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from foundry.actors.watchdog import WATCHDOG, Watchdog
from foundry.runtime.turn import Turn


@dataclass(frozen=True)
class TaskConfig:
    watchdog: Watchdog = WATCHDOG
    idle: timedelta | None = None  # how long nobody uses a sandbox before it is stopped; None: it never is
    archived: timedelta | None = None  # how long an archived task's sandbox is kept, stopped; None: not at all


def config(turn: Turn) -> TaskConfig:
    return cast(TaskConfig, turn.config)
