"""Organization: its index of repositories and tasks, and its runtime issues."""

from __future__ import annotations

from datetime import datetime

from foundry.contracts.ids import OrganizationId, RepositoryId
from foundry.contracts.issues import Failure
from foundry.contracts.messages import Birth, Command, Event, Message, Model
from foundry.contracts.repository import RepositoryRef


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


class IssueView(Model):
    """One runtime issue as lists show it."""

    id: str
    failure: Failure
    first_at: datetime
    last_at: datetime
    times: int = 1


class IssuesChanged(Event):
    """On `organization` and `app`: the whole new list."""

    issues: list[IssueView]


class OrganizationView(Model):
    id: OrganizationId
    login: str
    name: str = ""
    avatar_url: str = ""
    active: bool = True
    public_work: bool = False  # whoever may sign in reads the work on its public repositories


class SetPublicWork(Command[OrganizationView]):
    """To Organization: show the work on its public repositories to whoever may sign in, or to its own people alone."""

    shown: bool


class OrganizationListed(Message):
    """Organization -> AppShell: it is new or has changed. Its row was written before this message was sent."""

    organization: OrganizationView


class OrganizationChanged(Event):
    """On `organization` and `app`: its name, its picture, or whether the App is still installed there."""

    organization: OrganizationView


class RepositoriesChanged(Event):
    """On `organization`: the whole new list."""

    repositories: list[RepositoryRef]
