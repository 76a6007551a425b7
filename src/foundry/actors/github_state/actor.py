"""GitHubState: the only door to GitHub (R10)."""

from __future__ import annotations

from foundry.actors.github_state.organization import Mirror
from foundry.actors.github_state.webhooks import Intake
from foundry.runtime.actor import Actor


class GitHubState(Intake, Mirror, Actor):
    """Under the key `app`: webhook intake and the App's installations (webhooks.py). Under an organization's id: its
    repositories, members, pull requests and permissions (organization.py). Both: reading everything again (sync.py).

    Alone receives what GitHub says and tells the tree what it implies. A turn of it calls nothing: its workflows do,
    through door.py.
    """

    topic = "pull_requests"
