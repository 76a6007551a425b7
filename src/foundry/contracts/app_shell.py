"""AppShell: app sessions, and word of installations."""

from __future__ import annotations

from foundry.contracts.ids import OrganizationId, UserId
from foundry.contracts.messages import Birth, Command, Event, Message, Model


class SignIn(Command[str]):
    """To AppShell: open an app session; answered with its expiry, ISO 8601. The token's hash is stored, never it."""

    token_hash: str
    user: UserId
    login: str


class SignOut(Command[None]):
    token_hash: str


class EndSessions(Message):
    """UserGitHubData -> AppShell: end all of this person's app sessions."""

    user: UserId
    reason: str


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
