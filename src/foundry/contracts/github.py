"""GitHub's own shapes, as far as Foundry uses them; what else GitHub sends is left out when it is read.

Source: GitHub's REST API documentation, version 2022-11-28.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict


class GitHubModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class GitHubAccount(GitHubModel):
    """A user or an organization."""

    id: int
    login: str
    type: str = "User"
    name: str | None = None
    email: str | None = None
    avatar_url: str = ""


class GitHubInstallation(GitHubModel):
    id: int
    account: GitHubAccount
    suspended_at: datetime | None = None


class GitHubRepository(GitHubModel):
    id: int
    name: str
    owner: GitHubAccount
    default_branch: str = "main"
    private: bool = False
    clone_url: str = ""
    html_url: str = ""


class GitHubBranch(GitHubModel):
    name: str


class GitHubRef(GitHubModel):
    ref: str
    sha: str
    repo: GitHubRepository | None = None  # none: the fork was deleted


class GitHubPullRequest(GitHubModel):
    number: int
    state: str  # open, closed
    merged: bool = False  # absent in lists; `merged_at` is not
    merged_at: datetime | None = None
    title: str = ""
    draft: bool = False
    html_url: str = ""
    user: GitHubAccount | None = None
    head: GitHubRef
    base: GitHubRef
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def outcome(self) -> str:
        """open, closed or merged."""
        if self.state != "closed":
            return "open"
        return "merged" if self.merged or self.merged_at else "closed"


class InstallationToken(GitHubModel):
    token: str
    expires_at: datetime


class UserToken(GitHubModel):
    """What OAuth gives; a GitHub App's user tokens expire where the App says so."""

    access_token: str
    refresh_token: str | None = None
    expires_in: int | None = None  # seconds
    refresh_token_expires_in: int | None = None  # seconds
