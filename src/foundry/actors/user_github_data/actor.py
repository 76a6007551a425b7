"""UserGitHubData: one person's GitHub identity and tokens."""

from __future__ import annotations

from datetime import datetime, timedelta

from foundry.actors.user_github_data.tables import user_identities
from foundry.contracts import addresses
from foundry.contracts.app_shell import EndSessions
from foundry.contracts.errors import BadInput
from foundry.contracts.ids import UserId
from foundry.contracts.messages import millis, utc
from foundry.contracts.user_github_data import (
    AccessTokenRejected,
    AuthorizationRevoked,
    BeginRefresh,
    CheckTokens,
    ConnectionState,
    ForgetTokens,
    RefreshEnded,
    RefreshOutcome,
    ResealTokens,
    StoreIdentity,
)
from foundry.runtime.actor import Actor, creates, due, handles
from foundry.runtime.columns import AnyRow
from foundry.runtime.turn import Turn

REFRESH_LIMIT = timedelta(seconds=60)  # then the outcome of a refresh is unknown for good
REFRESH_LIFE = timedelta(days=184)  # of a refresh token whose end was not stored; GitHub's live six months

NOT_ADMITTED = "You may not sign in here."
SIGNED_OUT = "you revoked Foundry's access on GitHub"
REFUSED = "GitHub no longer accepts Foundry's refresh token for you."
UNKNOWN = "A refresh of your GitHub token was interrupted, and Foundry cannot know whether GitHub completed it."
REJECTED = "GitHub no longer accepts your token."
REVOKED = "You revoked Foundry's access on GitHub."
EXPIRED = "Your GitHub tokens have expired, because they were not used for too long."


class UserGitHubData(Actor):
    """Owns who a person is on GitHub and their tokens, encrypted before they came here.

    Never calls GitHub, never sees an open token, is never part of an organization's state.

    Args:
        refresh_limit: then the outcome of a refresh counts as unknown.
    """

    def __init__(self, refresh_limit: timedelta = REFRESH_LIMIT) -> None:
        self._limit = refresh_limit

    @creates(StoreIdentity)
    def store_identity(self, turn: Turn, command: StoreIdentity) -> None:
        """At every sign-in: what GitHub says of the person now, and the new tokens. A refresh under way is void."""
        person = command.person
        if person.id != turn.key:
            raise BadInput(f"this is the state of {turn.key}, not of {person.id}", field="person.id")
        turn.delete(user_identities)
        turn.insert(
            user_identities,
            login=person.login,
            name=person.name,
            email=person.email,
            avatar_url=person.avatar_url,
            access_token=command.access_token,
            refresh_token=command.refresh_token,
            expires_at=_millis(command.expires_at),
            refresh_expires_at=_millis(command.refresh_expires_at),
            state=ConnectionState.CONNECTED.value,
            state_since=millis(turn.now),
            changed_at=millis(turn.now),
        )
        turn.unschedule("refresh overdue")
        _watch(turn)

    # refreshing: GitHub accepts a refresh token once

    @handles(BeginRefresh)
    def begin_refresh(self, turn: Turn, command: BeginRefresh) -> bool:
        """1. An attempt that lasts too long ends as unknown. 2. One attempt at a time. 3. Only the token it read."""
        row = turn.one(user_identities)
        if row.refreshing is not None:
            if turn.now - utc(row.refreshing_since) >= self._limit:
                _end_as_unknown(turn)
                return False
            return row.refreshing == command.attempt
        if _refresh_over(turn, row):
            _delete_expired(turn)
            return False
        if row.refresh_token != command.refresh_token:
            return False
        turn.update(user_identities, refreshing=command.attempt, refreshing_since=millis(turn.now))
        turn.schedule("refresh overdue", self._limit)
        return True

    @handles(RefreshEnded)
    def refresh_ended(self, turn: Turn, command: RefreshEnded) -> None:
        """The mark goes, whatever the outcome. Only `NOT_USED` leaves the refresh token for another attempt."""
        row = turn.find(user_identities)
        if row is None or row.refreshing != command.attempt:
            return
        match command.outcome:
            case RefreshOutcome.REFRESHED:
                since = row.state_since if row.state == ConnectionState.CONNECTED else millis(turn.now)
                turn.update(
                    user_identities,
                    login=command.login or row.login,
                    access_token=command.access_token,
                    refresh_token=command.refresh_token,
                    expires_at=_millis(command.expires_at),
                    refresh_expires_at=_millis(command.refresh_expires_at),
                    state=ConnectionState.CONNECTED.value,
                    state_since=since,
                    state_reason="",
                    changed_at=millis(turn.now),
                )
            case RefreshOutcome.REFUSED:
                _forget(turn, REFUSED, access_token="", refresh_token=None)
            case RefreshOutcome.UNKNOWN:
                _forget(turn, UNKNOWN, refresh_token=None)
            case RefreshOutcome.NOT_USED:
                pass
        _end_attempt(turn)

    @due("refresh overdue")
    def refresh_overdue(self, turn: Turn) -> None:
        """Whoever began it has been killed, or hangs."""
        row = turn.find(user_identities)
        if row is not None and row.refreshing is not None:
            _end_as_unknown(turn)

    # tokens that end

    @handles(AccessTokenRejected)
    def access_token_rejected(self, turn: Turn, command: AccessTokenRejected) -> None:
        """Delete exactly this token. With a refresh token, whoever needs an access token next refreshes it."""
        row = turn.find(user_identities)
        if row is None or row.access_token != command.access_token:
            return
        if row.refresh_token is None or _refresh_over(turn, row):
            _forget(turn, REJECTED, access_token="", refresh_token=None)
        else:
            turn.update(user_identities, access_token="")
        _watch(turn)

    @creates(AuthorizationRevoked)
    def authorization_revoked(self, turn: Turn, message: AuthorizationRevoked) -> None:
        """1. All tokens go, also those of a refresh under way. 2. The person is signed out everywhere."""
        if turn.find(user_identities) is None:
            return
        _forget(turn, REVOKED, access_token="", refresh_token=None)
        _end_attempt(turn)
        turn.send(addresses.app_shell(), EndSessions(user=UserId(turn.key), reason=SIGNED_OUT))

    @handles(ForgetTokens)
    def forget_tokens(self, turn: Turn, command: ForgetTokens) -> None:
        """The person may not sign in here."""
        if turn.find(user_identities) is None:
            return
        _forget(turn, NOT_ADMITTED, access_token="", refresh_token=None)
        _end_attempt(turn)
        if command.stranger:
            turn.delete(user_identities)

    @due("tokens expire")
    def tokens_expire(self, turn: Turn) -> None:
        """A refresh under way decides for itself."""
        row = turn.find(user_identities)
        if row is not None and row.refreshing is None:
            _delete_expired(turn)
        elif row is not None:
            _watch(turn)

    @handles(ResealTokens)
    def reseal_tokens(self, turn: Turn, command: ResealTokens) -> None:
        row = turn.one(user_identities)
        access, refresh = row.access_token, row.refresh_token
        turn.update(
            user_identities,
            access_token=command.tokens.get(access, access),
            refresh_token=None if refresh is None else command.tokens.get(refresh, refresh),
        )

    @handles(CheckTokens)
    def check_tokens(self, turn: Turn, command: CheckTokens) -> None:
        """At a start, for a row that a server of 0.3 stored."""
        turn.update(user_identities, state=ConnectionState.CONNECTED.value)
        _watch(turn)


def _delete_expired(turn: Turn) -> None:
    """Delete an expired refresh token, and an expired access token that nothing can refresh."""
    row = turn.one(user_identities)
    if row.refresh_token is None or _refresh_over(turn, row):
        over = row.expires_at is not None and utc(row.expires_at) <= turn.now
        gone = {"access_token": ""} if over else {}
        if row.refresh_token is not None or (over and row.access_token):
            known = row.state_reason if row.state == ConnectionState.RECONNECT else ""
            _forget(turn, known or EXPIRED, **gone, refresh_token=None)
    _watch(turn)


def _end_as_unknown(turn: Turn) -> None:
    """The refresh token is never sent again. The access token serves until its end, unless GitHub rejects it."""
    _forget(turn, UNKNOWN, refresh_token=None)
    _end_attempt(turn)


def _end_attempt(turn: Turn) -> None:
    turn.update(user_identities, refreshing=None, refreshing_since=None)
    turn.unschedule("refresh overdue")
    _watch(turn)


def _forget(turn: Turn, reason: str, **tokens: str | None) -> None:
    """Delete these tokens; the person has to sign in again, for this reason."""
    row = turn.one(user_identities)
    since = row.state_since if row.state == ConnectionState.RECONNECT else millis(turn.now)
    state = ConnectionState.RECONNECT.value
    turn.update(user_identities, state=state, state_since=since, state_reason=reason, **tokens)


def _watch(turn: Turn) -> None:
    """Wake up when the next stored token expires for good."""
    row = turn.one(user_identities)
    ends: datetime | None = None
    if row.refresh_token is not None:
        ends = _refresh_end(row)
    elif row.access_token and row.expires_at is not None:
        ends = utc(row.expires_at)
    if ends is not None and row.refreshing is not None:
        ends = max(ends, utc(row.refreshing_since) + REFRESH_LIMIT)
    turn.schedule("tokens expire", None if ends is None else max(ends - turn.now, timedelta()))


def _refresh_over(turn: Turn, row: AnyRow) -> bool:
    return row.refresh_token is not None and _refresh_end(row) <= turn.now


def _refresh_end(row: AnyRow) -> datetime:
    return utc(row.changed_at) + REFRESH_LIFE if row.refresh_expires_at is None else utc(row.refresh_expires_at)


def _millis(moment: datetime | None) -> int | None:
    return None if moment is None else millis(moment)
