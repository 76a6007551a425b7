"""GitHubState: the only door to GitHub (R10)."""

from __future__ import annotations

from foundry.actors.github_state import branch_heads, organization, sync, webhooks
from foundry.runtime.actor import Actor


class GitHubState(Actor):
    """Under the key `app`: webhooks and the App's installations (webhooks.py). Under an organization's id: its
    repositories, members, pull requests and permissions (organization.py), and its branches' heads (branch_heads.py).
    Both: reading everything again (sync.py).

    Alone receives what GitHub says and tells the tree what it implies. A turn of it calls nothing: its workflows do,
    through door.py.
    """

    topic = "pull_requests"
    parts = (webhooks, organization, branch_heads, sync)
