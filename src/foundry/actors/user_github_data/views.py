"""What the edge reads of UserGitHubData."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, select

from foundry.actors.user_github_data.tables import user_identities
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import UserId
from foundry.contracts.messages import millis, utc
from foundry.contracts.people import Person
from foundry.contracts.user_github_data import ConnectionState, GitHubConnection, SealedTokens
from foundry.runtime.columns import AnyRow
from foundry.runtime.reader import Reader


def person(reader: Reader, user: UserId) -> Person:
    """Who this is.

    Raises:
        NotFound: this person never signed in here.
    """
    return _person(_row(reader, user))


def is_known(reader: Reader, user: UserId) -> bool:
    """Return True if this person was let in here before."""
    return reader.first(_TOKENS, {"user": user}) is not None


def people(reader: Reader) -> list[Person]:
    """Everybody who ever signed in, by login. Of two who had the same login, the one who used it last comes first."""
    rows = sorted(reader.all(select(user_identities)), key=lambda row: (row.login.lower(), -row.changed_at))
    return [_person(row) for row in rows]


def connected_since(reader: Reader, user: UserId, now: datetime) -> datetime | None:
    """Since when GitHub can be asked in this person's name; None: it cannot."""
    row = reader.first(_TOKENS, {"user": user})
    if row is None:
        return None
    lasts = bool(row.access_token) and (row.expires_at is None or row.expires_at > millis(now))
    if not lasts and row.refresh_token is None and row.refreshing is None:
        return None
    return utc(row.changed_at if row.state_since is None else row.state_since)


_IDENTITY = user_identities.c
_TOKENS = select(
    _IDENTITY.access_token, _IDENTITY.expires_at, _IDENTITY.refresh_token, _IDENTITY.refreshing, _IDENTITY.state_since,
    _IDENTITY.changed_at,
).where(_IDENTITY.user == bindparam("user"))  # fmt: skip


def sealed_tokens(reader: Reader, user: UserId) -> SealedTokens:
    """The person's tokens as they are stored: encrypted.

    Raises:
        NotFound: this person never signed in here.
    """
    row = _row(reader, user)
    return SealedTokens(
        access_token=row.access_token,
        refresh_token=row.refresh_token,
        expires_at=None if row.expires_at is None else utc(row.expires_at),
        refreshing=row.refreshing is not None,
    )


def github_connection(reader: Reader, user: UserId) -> GitHubConnection:
    """What Foundry can do on GitHub in this person's name."""
    row = reader.first(select(user_identities).where(user_identities.c.user == user))
    if row is None:
        return GitHubConnection()
    if row.refreshing is not None:
        return GitHubConnection(state=ConnectionState.REFRESHING, since=utc(row.refreshing_since))
    state = ConnectionState.CONNECTED if row.state is None else ConnectionState(row.state)
    since = utc(row.changed_at if row.state_since is None else row.state_since)
    return GitHubConnection(state=state, since=since, reason=row.state_reason)


def all_sealed_tokens(reader: Reader) -> dict[str, list[str]]:
    """Every person's tokens as they are stored, by the person's id."""
    rows = reader.all(select(user_identities))
    found = {row.user: [token for token in (row.access_token, row.refresh_token) if token] for row in rows}
    return {user: tokens for user, tokens in found.items() if tokens}


def unchecked(reader: Reader) -> list[UserId]:
    """The people whose tokens a server of 0.3 stored, so that no schedule of theirs deletes them."""
    query = select(user_identities.c.user).where(user_identities.c.state.is_(None))
    return [UserId(row.user) for row in reader.all(query)]


def _row(reader: Reader, user: UserId) -> AnyRow:
    row = reader.first(select(user_identities).where(user_identities.c.user == user))
    if row is None:
        raise NotFound(f"nobody with the id {user} has signed in here")
    return row


def _person(row: AnyRow) -> Person:
    return Person(id=UserId(row.user), login=row.login, name=row.name, email=row.email, avatar_url=row.avatar_url)
