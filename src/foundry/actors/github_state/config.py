"""GitHubState's configuration, set by app.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from foundry.contracts.sign_in import BY_MEMBERSHIP, SignInPolicy
from foundry.runtime.turn import Turn


@dataclass(frozen=True)
class GitHubConfig:
    policy: SignInPolicy = BY_MEMBERSHIP  # on whose accounts an installation makes an organization


def config(turn: Turn) -> GitHubConfig:
    return cast(GitHubConfig, turn.config)
