"""App sessions and personal API tokens: how they begin, are used, and end.

An app session ends when nobody has used it for the time that the setting names, and 90 days after the sign-in. What has
ended stays for 30 days with the reason, so that whoever still has it is told why. `CredentialsEnded` reaches the open
streams.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Table

from foundry.actors.app_shell.audit_log import record
from foundry.actors.app_shell.config import config
from foundry.actors.app_shell.tables import app_sessions, app_tokens
from foundry.actors.app_shell.views import EXPIRED, LONGEST, api_token, credential_id, expiry_of_session
from foundry.contracts.app_shell import (
    ApiTokenView,
    CreateToken,
    CredentialsEnded,
    EndEverySession,
    EndSession,
    EndSessions,
    RecordUse,
    RevokeToken,
    Scope,
    SignIn,
    SignOut,
    Via,
)
from foundry.contracts.errors import BadInput, NotFound, WrongState
from foundry.contracts.messages import millis, utc
from foundry.runtime.actor import due, handles, receives
from foundry.runtime.columns import AnyRow
from foundry.runtime.turn import Turn

RETENTION = timedelta(days=30)  # of what has ended
SWEEP = timedelta(days=1)
AT_ONCE = 1_000  # rows that one turn ends or deletes
MOST_TOKENS = 100  # of one person
HASH_LENGTH = 64  # hexadecimal digits of a SHA-256

SIGNED_OUT = "you signed out in this browser"
ENDED_BY_PERSON = "you ended this session from another one"
ENDED_EVERYWHERE = "you signed out everywhere"
REVOKED = "it was revoked"


# app sessions


@handles(SignIn)
def sign_in(turn: Turn, command: SignIn) -> str:
    """1. Take only a hash. 2. Each sign-in is an app session of its own."""
    check_hash(command.token_hash)
    expires = turn.now + min(config(turn).idle, LONGEST)
    turn.delete(app_sessions, token_hash=command.token_hash)
    turn.insert(
        app_sessions,
        token_hash=command.token_hash,
        user=command.user,
        login=command.login,
        created_at=turn.now,
        expires_at=expires,
        device=command.device,
        address=command.address,
        used_at=turn.now,
    )
    record(
        turn,
        Via.BROWSER,
        "sign-in",
        person=command.user,
        login=command.login,
        detail=command.device,
        address=command.address,
    )
    return expires.isoformat()


@handles(SignOut)
def sign_out(turn: Turn, command: SignOut) -> None:
    found = _live(turn, app_sessions, token_hash=command.token_hash)
    _end(turn, app_sessions, found, SIGNED_OUT, "sign-out", Via.BROWSER, command.address)


@handles(EndSession)
def end_session(turn: Turn, command: EndSession) -> None:
    """Raises NotFound unless the session is this person's and has not ended."""
    known = _live(turn, app_sessions, user=command.user)
    found = [row for row in known if credential_id("aps", row.token_hash) == command.session]
    if not found:
        raise NotFound(f"you have no session with id {command.session}", field="session")
    _end(turn, app_sessions, found, ENDED_BY_PERSON, "session ended", Via.BROWSER, command.address)


@handles(EndEverySession)
def end_every_session(turn: Turn, command: EndEverySession) -> int:
    found = _live(turn, app_sessions, user=command.user)
    return _end(turn, app_sessions, found, ENDED_EVERYWHERE, "session ended", Via.BROWSER, command.address)


@receives(EndSessions)
def end_sessions(turn: Turn, message: EndSessions) -> None:
    """GitHub has said so. API tokens act for the same person, so they end too."""
    for table, what in ((app_sessions, "session ended"), (app_tokens, "token revoked")):
        _end(turn, table, _live(turn, table, user=message.user), message.reason[:200], what, Via.FOUNDRY)


# API tokens


@handles(CreateToken)
def create_token(turn: Turn, command: CreateToken) -> ApiTokenView:
    check_hash(command.token_hash)
    if len(_live(turn, app_tokens, user=command.user)) >= MOST_TOKENS:
        raise WrongState(f"you have {MOST_TOKENS} API tokens", remedy="Revoke a token that you do not use.")
    days = command.expires_in_days
    return new_token(
        turn,
        command.token_hash,
        command.user,
        command.login,
        command.name,
        command.scopes,
        None if days is None else timedelta(days=days),
        via=Via.BROWSER,
        address=command.address,
    )


def new_token(
    turn: Turn,
    token_hash: str,
    user: str,
    login: str,
    name: str,
    scopes: Sequence[Scope],
    life: timedelta | None,
    *,
    via: Via,
    address: str,
) -> ApiTokenView:
    """Add an API token and record it. The scope `write` includes `read`."""
    wanted = {*scopes, Scope.READ} if Scope.WRITE in scopes else set(scopes)
    given = [scope for scope in Scope if scope in wanted]
    turn.insert(
        app_tokens,
        token_hash=token_hash,
        user=user,
        login=login,
        name=name,
        scopes=given,
        created_at=turn.now,
        expires_at=None if life is None else turn.now + life,
    )
    detail = f"{name} ({', '.join(given)})"
    record(turn, via, "token created", person=user, login=login, detail=detail, address=address)
    return api_token(turn.one(app_tokens, token_hash=token_hash))


@handles(RevokeToken)
def revoke_token(turn: Turn, command: RevokeToken) -> None:
    """Raises NotFound unless the token is this person's and has not ended."""
    known = _live(turn, app_tokens, user=command.user)
    found = [row for row in known if credential_id("tok", row.token_hash) == command.token]
    if not found:
        raise NotFound(f"you have no API token with id {command.token}", field="token")
    _end(turn, app_tokens, found, REVOKED, "token revoked", command.via, command.address)


# both


@handles(RecordUse)
def record_use(turn: Turn, command: RecordUse) -> None:
    for use in command.uses:
        for row in _live(turn, app_sessions, token_hash=use.token_hash):
            expires = min(turn.now + config(turn).idle, utc(row.created_at) + LONGEST)
            where = {"token_hash": use.token_hash}
            turn.update(app_sessions, where, used_at=turn.now, address=use.address, expires_at=expires)
        for row in _live(turn, app_tokens, token_hash=use.token_hash):
            if row.used_at is None:
                record(
                    turn,
                    Via.TOKEN,
                    "token used for the first time",
                    person=row.user,
                    login=row.login,
                    detail=row.name,
                    address=use.address,
                )
            turn.update(app_tokens, {"token_hash": use.token_hash}, used_at=turn.now, address=use.address)


@due("expired sessions")
def expire(turn: Turn) -> None:
    """1. End what nobody used, or what is too old. 2. Delete what ended long ago."""
    for table, what in ((app_sessions, "session ended"), (app_tokens, "token expired")):
        due_at, old = table.c.expires_at <= millis(turn.now), table.c.expires_at <= millis(turn.now - RETENTION)
        for row in turn.all(table, due_at, ended="", limit=AT_ONCE):
            reason = expiry_of_session(row) if table is app_sessions else EXPIRED
            _end(turn, table, [row], reason, what, Via.FOUNDRY)
        for row in turn.all(table, old, table.c.ended != "", limit=AT_ONCE):
            turn.delete(table, token_hash=row.token_hash)


def schedule_expiry(turn: Turn) -> None:
    """Wake up when the next one expires, so that its streams close then."""
    soonest = SWEEP
    for table in (app_sessions, app_tokens):
        expires = table.c.expires_at
        for row in turn.all(table, expires.is_not(None), ended="", order_by=expires, limit=1):
            soonest = min(soonest, max(timedelta(0), utc(row.expires_at) - turn.now))
    turn.schedule("expired sessions", soonest)


def check_hash(text: str) -> None:
    if len(text) != HASH_LENGTH or set(text) - set("0123456789abcdef"):
        raise BadInput("the token's SHA-256 in hexadecimal is stored, never the token", field="token_hash")


def _live(turn: Turn, table: Table, **where: Any) -> list[AnyRow]:
    """The rows that have neither ended nor expired."""
    now = millis(turn.now)
    return [row for row in turn.all(table, ended="", **where) if row.expires_at is None or row.expires_at > now]


def _end(turn: Turn, table: Table, rows: Sequence[AnyRow], reason: str, what: str, via: Via, address: str = "") -> int:
    """1. Keep the row with the reason. 2. Record it. 3. Tell the streams."""
    ended: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        at = millis(turn.now) if row.expires_at is None else min(row.expires_at, millis(turn.now))
        turn.update(table, {"token_hash": row.token_hash}, ended=reason, expires_at=at)
        subject = row.device if table is app_sessions else row.name
        detail = f"{subject}: {reason}" if subject else reason
        record(turn, via, what, person=row.user, login=row.login, detail=detail, address=address)
        ended[row.user].append(credential_id("aps" if table is app_sessions else "tok", row.token_hash))
    for user, ids in ended.items():
        turn.publish(CredentialsEnded(entity=user, person=user, ended=ids))
    return len(rows)
