"""GitHub's own shapes, as far as Foundry uses them; what else GitHub sends is left out when it is read.

Source: GitHub's REST API documentation, version 2022-11-28.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from foundry.contracts.people import Access

ROLES = ("admin", "maintain", "write", "triage", "read")


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


class GitHubCommit(GitHubModel):
    sha: str


class GitHubBranch(GitHubModel):
    name: str


class GitHubHead(GitHubModel):
    """A branch as a git reference."""

    ref: str  # refs/heads/NAME
    object: GitHubCommit


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


class GitHubLabel(GitHubModel):
    name: str


class GitHubTeam(GitHubModel):
    slug: str


class GitHubPullRequestText(GitHubPullRequest):
    """A pull request with what people wrote on it."""

    body: str | None = None
    labels: list[GitHubLabel] = []
    requested_reviewers: list[GitHubAccount] = []
    requested_teams: list[GitHubTeam] = []


class GitHubComment(GitHubModel):
    body: str = ""


class GitHubPermission(GitHubModel):
    """A person's access to a repository."""

    permission: str = "none"  # admin, write, read or none
    role_name: str = ""  # with maintain and triage, or the name of a custom role
    user: GitHubAccount | None = None

    @property
    def role(self) -> str:
        """admin, maintain, write, triage, read or none. A custom role counts as its base role."""
        return self.role_name if self.role_name in ROLES else self.permission


class GitHubPermissions(GitHubModel):
    """What the caller may do with a repository."""

    admin: bool = False
    maintain: bool = False
    push: bool = False
    triage: bool = False
    pull: bool = False


class GitHubReachedRepository(GitHubModel):
    """A repository as a person reaches it."""

    id: int
    private: bool = False
    permissions: GitHubPermissions = GitHubPermissions()

    @property
    def access(self) -> Access:
        """The strongest of the permissions."""
        may = self.permissions
        levels = ((may.admin, Access.ADMIN), (may.maintain, Access.MAINTAIN), (may.push, Access.WRITE),
                  (may.triage, Access.TRIAGE), (may.pull, Access.READ))  # fmt: skip
        return next((access for has, access in levels if has), Access.NONE)


class GitHubMembership(GitHubModel):
    """A person's own membership in an organization."""

    state: str  # active or pending
    role: str  # admin, member or billing_manager
    organization: GitHubAccount


class GitHubDelivery(GitHubModel):
    """One webhook delivery as the App's deliveries list has it."""

    id: int  # of this attempt
    guid: str  # the delivery id that the request carries; a redelivery has the same
    event: str
    action: str | None = None
    delivered_at: datetime
    redelivery: bool = False
    status: str = ""
    status_code: int = 0
    installation_id: int | None = None
    repository_id: int | None = None

    @property
    def arrived(self) -> bool:
        """Whether somebody took it."""
        return 200 <= self.status_code < 300


class GitHubBudget(GitHubModel):
    """How many requests one caller may still make; None: GitHub has not said, or does not count."""

    limit: int | None = None  # an hour
    remaining: int | None = None
    reset_at: datetime | None = None  # a fresh hour
    blocked_until: datetime | None = None  # GitHub asked to send nothing before


class InstallationToken(GitHubModel):
    token: str
    expires_at: datetime


class UserToken(GitHubModel):
    """What OAuth gives; a GitHub App's user tokens expire where the App says so."""

    access_token: str
    refresh_token: str | None = None
    expires_in: int | None = None  # seconds
    refresh_token_expires_in: int | None = None  # seconds
