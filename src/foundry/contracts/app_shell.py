"""AppShell: app sessions, API tokens, the audit log, and word of installations."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from foundry.contracts.ids import OrganizationId, UserId
from foundry.contracts.messages import Birth, Command, Event, Message, Model


class Via(StrEnum):
    """How somebody uses Foundry, as the audit log names it."""

    BROWSER = "browser"
    TOKEN = "token"  # a personal API token
    ADMIN = "admin"  # the local admin token
    FOUNDRY = "foundry"  # nobody: what Foundry does automatically, or what GitHub reports


class Scope(StrEnum):
    """What a personal API token may do in its person's name. A browser and the admin token may do all of it."""

    READ = "read"
    WRITE = "write"  # also reads
    APPROVE = "approve"  # answer agents' permission requests


ALL_SCOPES = frozenset(Scope)


# app sessions


class SignIn(Command[str]):
    """To AppShell: open an app session. Answered with the time it ends if nobody uses it, ISO 8601.

    The token's hash is stored, never the token.
    """

    token_hash: str
    user: UserId
    login: str
    device: str = ""
    address: str = ""  # the client's


class SignOut(Command[None]):
    """To AppShell: the browser ends its own app session."""

    token_hash: str
    address: str = ""


class EndSession(Command[None]):
    """To AppShell: a person ends one of their app sessions."""

    user: UserId
    session: str  # its id
    address: str = ""


class EndEverySession(Command[int]):
    """To AppShell: a person signs out everywhere. Answered with the number of app sessions that ended."""

    user: UserId
    address: str = ""


class EndSessions(Message):
    """UserGitHubData -> AppShell: end all app sessions and API tokens of a person.

    `reason` completes "You were signed out: ", for example "GitHub revoked Foundry's access to your account".
    """

    user: UserId
    reason: str


class Use(Model):
    """One app session or API token was used."""

    token_hash: str
    address: str


class RecordUse(Command[None]):
    """To AppShell: what was used and from where. An app session that is used lasts longer."""

    uses: list[Use]


class CredentialsEnded(Event):
    """On `app`, for the streams of this person alone, never for clients: these app sessions and API tokens ended."""

    ended: list[str]  # ids


class AppSessionView(Model):
    """One app session of a person. `used_at` and `address` are of the last use, at most 5 minutes old."""

    id: str
    device: str
    created_at: datetime
    used_at: datetime
    address: str
    expires_at: datetime  # if nobody uses it until then
    current: bool = False  # the request was sent with it


# personal API tokens


class CreateToken(Command["ApiTokenView"]):
    """To AppShell: create an API token for a person. The token's hash is stored, never the token."""

    token_hash: str
    user: UserId
    login: str
    name: str
    scopes: list[Scope]
    expires_in_days: int | None = None
    address: str = ""


class RevokeToken(Command[None]):
    """To AppShell: a person revokes one of their API tokens, or the token itself does."""

    user: UserId
    token: str  # its id
    via: Via = Via.BROWSER
    address: str = ""


class ApiTokenView(Model):
    """One API token of a person, without the token."""

    id: str
    name: str
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None  # none: it does not expire
    used_at: datetime | None  # none: never
    address: str  # of the last use


# signing in from a command line (RFC 8628)


class StartDeviceLogin(Command[None]):
    """To AppShell: somebody wants to sign in from a device. Both codes are hashes."""

    device_hash: str
    user_code_hash: str
    device: str
    scopes: list[Scope]
    interval: float  # seconds between two polls
    address: str = ""


class AnswerDeviceLogin(Command[None]):
    """To AppShell: a signed-in person approves or denies the sign-in with this code."""

    user_code_hash: str
    user: UserId
    login: str
    approve: bool
    address: str = ""


class WrongUserCode(Command[None]):
    """To AppShell: a person entered a code that does not exist."""

    user: UserId


class Polled(StrEnum):
    """How a device's sign-in stands. The values are RFC 8628's."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    EXPIRED = "expired_token"
    DENIED = "access_denied"
    APPROVED = "approved"


class PollDeviceLogin(Command[Polled]):
    """To AppShell: the device asks. If the person has approved, this hash becomes that of the device's API token."""

    device_hash: str
    token_hash: str
    address: str = ""


class DeviceLoginView(Model):
    """A sign-in that waits for its person."""

    device: str
    scopes: list[Scope]
    address: str
    started_at: datetime


# the audit log


class RecordAdminRequest(Command[None]):
    """To AppShell: somebody with the admin token is about to change something, acting as a person."""

    person: UserId | None
    login: str
    method: str
    path: str
    address: str


class AdminTokenChanged(Command[None]):
    """To AppShell: the admin token was replaced. Streams that the old one opened end."""


class AuditEntry(Model):
    """One line of the audit log."""

    id: str
    at: datetime
    kind: Via
    person: UserId | None
    login: str
    what: str
    detail: str
    method: str  # of a request with the admin token; else empty
    path: str
    address: str


# installations


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
