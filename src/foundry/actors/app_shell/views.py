"""What the edge reads of AppShell."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import and_, or_, select

from foundry.actors.app_shell.tables import (
    app_audit,
    app_code_guesses,
    app_device_logins,
    app_issues,
    app_orphans,
    app_sessions,
    app_tokens,
)
from foundry.actors.runtime_issues import listed
from foundry.contracts.app_shell import (
    ALL_SCOPES,
    ApiTokenView,
    AppSessionView,
    AuditEntry,
    DeviceLoginView,
    Scope,
)
from foundry.contracts.errors import TooManyAttempts
from foundry.contracts.ids import SandboxId, UserId, new_id
from foundry.contracts.messages import millis, utc
from foundry.contracts.organization import IssueView
from foundry.contracts.sandbox_instance import OrphanView
from foundry.runtime.columns import AnyRow, from_row
from foundry.runtime.reader import Reader

ADMIN = "admin"  # in `CredentialsEnded`: the admin token, which is nobody's
EXPIRED = "it has expired"
LONGEST = timedelta(days=90)  # that an app session may last
CODE_LIFE = timedelta(minutes=15)  # of a sign-in from a command line
WRONG_CODES = 10  # that a person may enter within this time


class Held(NamedTuple):
    """An app session or an API token, as a request shows it."""

    id: str
    user: UserId
    scopes: frozenset[Scope]
    used_at: datetime | None
    ended: str  # why it is worth nothing any more; empty: it is valid


def credential_id(prefix: str, token_hash: str) -> str:
    """Return the public id of an app session (`aps`) or an API token (`tok`). It does not give the hash away."""
    digest = hashlib.sha256(f"{prefix}\0{token_hash}".encode()).digest()
    return new_id(prefix, now_ms=int.from_bytes(digest[10:16], "big"), entropy=digest[:10])


def app_session(reader: Reader, token_hash: str, now: datetime) -> Held | None:
    """Return the app session with this token; None if it is unknown."""
    row = reader.first(select(app_sessions).where(app_sessions.c.token_hash == token_hash))
    if row is None:
        return None
    ended = row.ended or (expiry_of_session(row) if row.expires_at <= millis(now) else "")
    used = utc(row.used_at) if row.used_at is not None else None
    return Held(credential_id("aps", token_hash), UserId(row.user), ALL_SCOPES, used, ended)


def expiry_of_session(row: AnyRow) -> str:
    """Return why an app session ends at its `expires_at`."""
    if utc(row.expires_at) - utc(row.created_at) >= LONGEST:
        return f"a session lasts at most {LONGEST.days} days"
    return "nobody used this session for too long"


def token_of(reader: Reader, token_hash: str, now: datetime) -> Held | None:
    """Return the API token with this hash; None if it is unknown."""
    row = reader.first(select(app_tokens).where(app_tokens.c.token_hash == token_hash))
    if row is None:
        return None
    over = row.expires_at is not None and row.expires_at <= millis(now)
    view = api_token(row)
    ended = row.ended or (EXPIRED if over else "")
    return Held(view.id, UserId(row.user), frozenset(view.scopes), view.used_at, ended)


def app_sessions_of(reader: Reader, user: UserId, now: datetime) -> list[AppSessionView]:
    """Return a person's app sessions, the latest used first."""
    c = app_sessions.c
    rows = reader.all(select(app_sessions).where(c.user == user, c.ended == "", c.expires_at > millis(now)))
    found = [
        from_row(
            AppSessionView,
            row,
            id=credential_id("aps", row.token_hash),
            used_at=utc(row.used_at or row.created_at),
            device=row.device,
            current=False,
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: one.used_at, reverse=True)


def api_tokens_of(reader: Reader, user: UserId, now: datetime) -> list[ApiTokenView]:
    """Return a person's API tokens, the newest first."""
    c = app_tokens.c
    rows = reader.all(select(app_tokens).where(c.user == user, c.ended == "").order_by(c.created_at.desc()))
    return [api_token(row) for row in rows if row.expires_at is None or row.expires_at > millis(now)]


def api_token(row: AnyRow) -> ApiTokenView:
    return from_row(ApiTokenView, row, id=credential_id("tok", row.token_hash))


def device_login(reader: Reader, user_code_hash: str, user: UserId, now: datetime) -> DeviceLoginView | None:
    """Return the sign-in with this code that waits for an answer; None if there is none.

    Raises:
        TooManyAttempts: this person has entered too many wrong codes.
    """
    guesses = reader.first(select(app_code_guesses).where(app_code_guesses.c.user == user))
    if guesses is not None and guesses.wrong >= WRONG_CODES and guesses.since > millis(now - CODE_LIFE):
        raise TooManyAttempts(f"you have entered {WRONG_CODES} wrong codes", field="user_code")
    c = app_device_logins.c
    row = reader.first(
        select(app_device_logins).where(
            c.user_code_hash == user_code_hash, c.user.is_(None), c.expires_at > millis(now)
        )
    )
    return None if row is None else from_row(DeviceLoginView, row, started_at=utc(row.created_at))


def audit(reader: Reader, before: str | None, limit: int) -> list[AuditEntry]:
    """Return lines of the audit log, the latest first.

    Args:
        before: the id of a line; only older ones are returned.
    """
    c = app_audit.c
    query = select(app_audit).order_by(c.at.desc(), c.id.desc()).limit(limit)
    if before is not None:
        mark = reader.one(select(c.at).where(c.id == before))
        query = query.where(or_(c.at < mark.at, and_(c.at == mark.at, c.id < before)))
    return [from_row(AuditEntry, row) for row in reader.all(query)]


def issues(reader: Reader) -> list[IssueView]:
    """The runtime issues of scope `app`, the latest first."""
    return listed(reader.all(select(app_issues)))


def orphans(reader: Reader) -> list[OrphanView]:
    """The sandboxes that nobody uses, the biggest first."""
    found = [orphan(row) for row in reader.all(select(app_orphans))]
    return sorted(found, key=lambda one: (-(one.disk or 0), one.id))


def orphan(row: AnyRow) -> OrphanView:
    return OrphanView(
        id=SandboxId(row.sandbox), disk=row.disk, failure=row.failure, since=utc(row.since), removing=row.removing
    )
