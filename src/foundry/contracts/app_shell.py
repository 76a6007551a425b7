"""AppShell: app sessions, and word of installations."""

from __future__ import annotations

from enum import StrEnum

from foundry.contracts.ids import OrganizationId, UserId
from foundry.contracts.messages import Birth, Command, Event, Message, Model


class Scope(StrEnum):
    """What a personal API token may do in its person's name. A browser and the admin token may do all of it."""

    READ = "read"
    WRITE = "write"  # also reads
    APPROVE = "approve"  # answer agents' permission requests


ALL_SCOPES = frozenset(Scope)


class SignIn(Command[str]):
    """To AppShell: open an app session; answered with its expiry, ISO 8601. The token's hash is stored, never it."""

    token_hash: str
    user: UserId
    login: str


class SignOut(Command[None]):
    token_hash: str


class InstallationSeen(Message):
    """GitHubState("app") -> AppShell: an installation of the App was added or has changed."""

    installation: int
    organization: OrganizationId
    login: str
    active: bool = True


class OpenAppShell(Command[None], Birth):
    """To AppShell, at every start."""


class InstallationView(Model):
    """One installation of the App."""

    installation: int
    organization: OrganizationId
    login: str
    active: bool = True


class InstallationsChanged(Event):
    """On `app`: the installations that were added or have changed; the organizations to be seen may be others now."""

    installations: list[InstallationView]
