"""People, organizations and repositories as the rest of Foundry speaks of them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from foundry.contracts.ids import OrganizationId, RepositoryId, UserId
from foundry.contracts.issues import Trouble
from foundry.contracts.words import Birth, Command, Event, Message, Word


class Access(StrEnum):
    """What GitHub lets a person do with a repository, weakest first."""

    NONE = "none"
    READ = "read"
    TRIAGE = "triage"
    WRITE = "write"
    MAINTAIN = "maintain"
    ADMIN = "admin"

    @property
    def may_read(self) -> bool:
        return self is not Access.NONE

    @property
    def may_write(self) -> bool:
        return self in (Access.WRITE, Access.MAINTAIN, Access.ADMIN)


class Person(Word):
    """A person as commits, histories and pages name them."""

    id: UserId
    login: str
    name: str = ""
    email: str = ""  # for commits; GitHub's no-reply address where theirs is private
    avatar_url: str = ""


class RepositoryRef(Word):
    """A repository as tasks and lists name it. A rename or transfer changes all but the id."""

    id: RepositoryId
    organization: OrganizationId
    owner: str  # login
    name: str
    default_branch: str = "main"
    private: bool = False
    clone_url: str = ""
    html_url: str = ""

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"


# AppShell: sign-in


class SignIn(Command[str]):
    """To AppShell: open an app session; answered with its expiry, ISO 8601. The token's hash is stored, never it."""

    token_hash: str
    user: UserId
    login: str


class SignOut(Command[None]):
    token_hash: str


class InstallationSeen(Message):
    """To AppShell: this installation of the App belongs to that organization."""

    installation: int
    organization: OrganizationId
    login: str
    active: bool = True


class OpenAppShell(Command[None], Birth):
    """To AppShell, at every start."""


class InstallationView(Word):
    """One installation of the App, as the start page shows it."""

    installation: int
    organization: OrganizationId
    login: str
    active: bool = True


class InstallationsChanged(Event):
    """On `app`: the whole new list."""

    installations: list[InstallationView]


# UserGitHubData


class StoreIdentity(Command[None], Birth):
    """To UserGitHubData: who signed in, and the tokens, already encrypted."""

    person: Person
    access_token: str  # encrypted
    refresh_token: str | None = None  # encrypted
    expires_at: datetime | None = None


class SealedTokens(Word):
    """A person's tokens as they are stored: encrypted. Only the door that uses them opens them."""

    access_token: str
    refresh_token: str | None = None
    expires_at: datetime | None = None


# Organization: coordinator, lookup index, runtime issues


class OrganizationSeen(Message, Birth):
    """To Organization: GitHub says it exists and has the App installed."""

    id: OrganizationId
    login: str
    name: str = ""
    avatar_url: str = ""
    installation: int | None = None
    active: bool = True  # false: the App was removed or suspended there


class RepositoriesSeen(Message):
    """To Organization: repositories the App may see; `gone` are no longer among them."""

    repositories: list[RepositoryRef] = []
    gone: list[RepositoryId] = []


class ClearIssues(Command[int]):
    """To Organization or AppShell: forget one recorded issue, or all (R20); answered with how many."""

    issue: str | None = None


class IssueView(Word):
    """One runtime issue as lists show it."""

    id: str
    trouble: Trouble
    first_at: datetime
    last_at: datetime
    times: int = 1


class IssuesChanged(Event):
    """On `organization` and `app`: the whole new list."""

    issues: list[IssueView]


class OrganizationView(Word):
    id: OrganizationId
    login: str
    name: str = ""
    avatar_url: str = ""
    active: bool = True


class OrganizationChanged(Event):
    """On `organization`: its name, its picture, or whether the App is still installed there."""

    organization: OrganizationView


class RepositoriesChanged(Event):
    """On `organization`: the whole new list."""

    repositories: list[RepositoryRef]


# Repository: branch reservations, task index


class RepositorySeen(Message, Birth):
    """To Repository: GitHub says it exists."""

    repository: RepositoryRef


class HistoryEntry(Message, Birth):
    """To History: something happened in the repository."""

    what: str  # a stable word, e.g. `task_created`, `pull_request_merged`
    text: str
    person: Person | None = None
    task: str | None = None
    at: datetime


class HistoryView(Word):
    number: int
    what: str
    text: str
    login: str | None = None
    task: str | None = None
    at: datetime
