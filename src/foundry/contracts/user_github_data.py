"""UserGitHubData: one person's GitHub identity and sealed tokens.

Tokens travel sealed (`foundry.actors.encryption`): in a command, an answer and a row. Only whoever uses one opens it.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from foundry.contracts.errors import FoundryError
from foundry.contracts.messages import Birth, Command, Message, Model
from foundry.contracts.people import Person


class ReconnectNeeded(FoundryError, code="github_reconnect", status=403):
    """Foundry has no GitHub token of this person that it may use."""

    remedy = "Connect GitHub again: open /auth/github on this server and sign in."


class ConnectionState(StrEnum):
    """What Foundry can do on GitHub in a person's name."""

    CONNECTED = "connected"  # their token is used, and refreshed when its time is up
    REFRESHING = "refreshing"  # a refresh is under way
    RECONNECT = "reconnect"  # the person has to sign in again
    NONE = "none"  # the person never signed in here


class GitHubConnection(Model):
    """A person's connection to GitHub, as they see it."""

    state: ConnectionState = ConnectionState.NONE
    since: datetime | None = None
    reason: str = ""  # a sentence; empty: nothing is wrong


class StoreIdentity(Command[None], Birth):
    """To UserGitHubData: who signed in, and the tokens, already encrypted."""

    person: Person
    access_token: str  # encrypted
    refresh_token: str | None = None  # encrypted
    expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None


class ForgetTokens(Command[None]):
    """To UserGitHubData, by the edge: the person may not sign in here, so nothing uses their tokens."""

    stranger: bool = False  # nobody has ever let them in: nothing at all is kept of them


class SealedTokens(Model):
    """A person's tokens as they are stored: encrypted. Only the door that uses them opens them."""

    access_token: str = ""  # empty: none
    refresh_token: str | None = None
    expires_at: datetime | None = None
    refreshing: bool = False  # a refresh is under way, so its outcome decides


# A refresh: marked before the token is sent, because GitHub accepts a refresh token once


class RefreshOutcome(StrEnum):
    """What became of one attempt to refresh."""

    REFRESHED = "refreshed"
    REFUSED = "refused"  # GitHub does not accept the refresh token
    NOT_USED = "not used"  # it did not reach GitHub, or GitHub refused for another reason: it is still good
    UNKNOWN = "unknown"  # it was sent, and nobody knows whether GitHub used it up


class BeginRefresh(Command[bool]):
    """To UserGitHubData: mark this attempt. Answered with True: the attempt, and it alone, may send the token once."""

    attempt: str
    refresh_token: str  # encrypted, as it was read; another one is stored now: the answer is False


class RefreshEnded(Command[None]):
    """To UserGitHubData: what became of the attempt; ignored if it is not the marked one."""

    attempt: str
    outcome: RefreshOutcome
    access_token: str = ""  # encrypted
    refresh_token: str | None = None  # encrypted
    expires_at: datetime | None = None
    refresh_expires_at: datetime | None = None
    login: str = ""  # the person's, as GitHub says it now; empty: it has not said


class AccessTokenRejected(Command[None]):
    """To UserGitHubData: GitHub answered 401 to this token. It is deleted if it is still the stored one."""

    access_token: str  # encrypted, as it was read


class CheckTokens(Command[None]):
    """To UserGitHubData, at a start, for tokens that a server of 0.3 stored: delete them when they expire."""


class AuthorizationRevoked(Message, Birth):
    """GitHubState("app") -> UserGitHubData: the person has revoked Foundry's access on GitHub.

    Its first word too: somebody may authorize the App on GitHub and never sign in here.
    """


class ResealTokens(Command[None]):
    """To UserGitHubData: the same tokens under the newest key; each is replaced if it is still the stored one.

    `tokens` has the stored text of a token, and the new one.
    """

    tokens: dict[str, str]
