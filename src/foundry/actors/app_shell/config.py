"""AppShell's configuration, set by app.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import cast

from foundry.runtime.turn import Turn

IDLE = timedelta(days=14)


@dataclass(frozen=True)
class AppShellConfig:
    idle: timedelta = IDLE  # an app session ends when nobody has used it for that long


def config(turn: Turn) -> AppShellConfig:
    return cast(AppShellConfig, turn.config)
