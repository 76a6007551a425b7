"""GitHubState: the only door to GitHub (R10)."""

from __future__ import annotations

from foundry.actors.github_state.intake import Intake
from foundry.actors.github_state.mirror import Mirror
from foundry.runtime.actor import Actor


class GitHubState(Intake, Mirror, Actor):
    """Under the key `app`: webhook intake and the App's installations (intake.py). Under an organization's id: its
    repositories, members, pull requests and permissions (mirror.py). Both: reading everything again (syncing.py).

    Alone receives what GitHub says and tells the tree what it implies. A turn of it calls nothing: its workflows do,
    through door.py.
    """

    topic = "pull_requests"
