"""GitHubState: the only door to GitHub (R10)."""

from __future__ import annotations

from foundry.actors.github_state import branch_heads, listings, organization, reaches, sync, webhooks
from foundry.actors.github_state.config import GitHubConfig
from foundry.runtime.actor import Actor


class GitHubState(Actor):
    """Under the key `app`: webhooks, the App's installations (webhooks.py), and who may use which (reaches.py).
    Under an organization's id: its repositories, members and pull requests (organization.py), what people may do
    there (listings.py), and its branches' heads (branch_heads.py). Both: reading everything again (sync.py).

    Alone receives what GitHub says and tells the tree what it implies. A turn of it calls nothing: its workflows do,
    through door.py.
    """

    topic = "pull_requests"
    parts = (webhooks, reaches, organization, listings, branch_heads, sync)

    def __init__(self, config: GitHubConfig | None = None) -> None:
        self.config = config or GitHubConfig()
