"""Signing in from a command line, in the way of RFC 8628.

The device gets a secret code and shows the person a short one. The person enters it in a signed-in browser and
approves. At its next poll the device gets an API token. Both codes are stored as hashes, work once, and expire after
15 minutes.
"""

from __future__ import annotations

from datetime import timedelta

from foundry.actors.app_shell.audit_log import record
from foundry.actors.app_shell.credentials import check_hash, new_token
from foundry.actors.app_shell.tables import app_code_guesses, app_device_logins
from foundry.actors.app_shell.views import CODE_LIFE
from foundry.contracts.app_shell import (
    AnswerDeviceLogin,
    DeviceLoginView,
    PollDeviceLogin,
    Polled,
    StartDeviceLogin,
    Via,
    WrongUserCode,
)
from foundry.contracts.errors import NotFound, TooManyAttempts
from foundry.contracts.messages import millis
from foundry.runtime.actor import due, handles
from foundry.runtime.columns import AnyRow, from_row
from foundry.runtime.turn import Turn

TOKEN_LIFE = timedelta(days=90)
MOST_WAITING = 1_000  # sign-ins that nobody has answered
MOST_FROM_ADDRESS = 20  # of them from one address
SLOWER = 5.0  # seconds that a device waits longer after it polled too soon
SWEEP = timedelta(hours=1)


@handles(StartDeviceLogin)
def start(turn: Turn, command: StartDeviceLogin) -> None:
    check_hash(command.device_hash)
    check_hash(command.user_code_hash)
    waiting = turn.all(app_device_logins, app_device_logins.c.expires_at > millis(turn.now))
    here = sum(row.address == command.address for row in waiting)
    if len(waiting) >= MOST_WAITING or here >= MOST_FROM_ADDRESS:
        raise TooManyAttempts("too many sign-ins wait for their person")
    turn.insert(
        app_device_logins,
        device_hash=command.device_hash,
        user_code_hash=command.user_code_hash,
        device=command.device,
        scopes=command.scopes,
        address=command.address,
        interval=command.interval,
        created_at=turn.now,
        expires_at=turn.now + CODE_LIFE,
    )
    turn.schedule("device logins", SWEEP)


@handles(AnswerDeviceLogin)
def answer(turn: Turn, command: AnswerDeviceLogin) -> None:
    """Raises NotFound if the code does not exist, has expired, or was answered."""
    found = turn.find(app_device_logins, user_code_hash=command.user_code_hash)
    if found is None or _expired(turn, found) or found.user is not None:
        raise NotFound("this code does not exist, has expired, or was already used", field="user_code")
    where = {"device_hash": found.device_hash}
    turn.update(app_device_logins, where, user=command.user, login=command.login, approved=command.approve)
    record(
        turn,
        Via.BROWSER,
        "login approved" if command.approve else "login denied",
        person=command.user,
        login=command.login,
        detail=found.device,
        address=command.address,
    )


@handles(WrongUserCode)
def wrong_code(turn: Turn, command: WrongUserCode) -> None:
    """Count it. Ten within 15 minutes are the limit (`views.device_login`)."""
    known = turn.find(app_code_guesses, user=command.user)
    if known is None or known.since <= millis(turn.now - CODE_LIFE):
        turn.put(app_code_guesses, {"user": command.user}, since=turn.now, wrong=1)
    else:
        turn.update(app_code_guesses, {"user": command.user}, wrong=known.wrong + 1)
    turn.schedule("device logins", SWEEP)


@handles(PollDeviceLogin)
def poll(turn: Turn, command: PollDeviceLogin) -> Polled:
    """1. An answer ends the sign-in. 2. Else the device waits, longer if it asks too soon."""
    check_hash(command.token_hash)
    found = turn.find(app_device_logins, device_hash=command.device_hash)
    if found is None:
        return Polled.EXPIRED
    user: str | None = found.user
    if user is None and not _expired(turn, found):
        soon = found.polled_at is not None and millis(turn.now) - found.polled_at < 1000 * found.interval
        where, longer = {"device_hash": found.device_hash}, found.interval + SLOWER * soon
        turn.update(app_device_logins, where, polled_at=turn.now, interval=longer)
        return Polled.SLOW_DOWN if soon else Polled.PENDING
    turn.delete(app_device_logins, device_hash=found.device_hash)
    if _expired(turn, found):
        return Polled.EXPIRED
    if user is None or not found.approved:
        return Polled.DENIED
    new_token(
        turn,
        command.token_hash,
        user,
        found.login,
        found.device,
        from_row(DeviceLoginView, found, started_at=turn.now).scopes,
        TOKEN_LIFE,
        via=Via.TOKEN,
        address=command.address,
    )
    return Polled.APPROVED


@due("device logins")
def sweep(turn: Turn) -> None:
    """Delete what has expired."""
    now = millis(turn.now)
    for row in turn.all(app_device_logins, app_device_logins.c.expires_at <= now):
        turn.delete(app_device_logins, device_hash=row.device_hash)
    for row in turn.all(app_code_guesses, app_code_guesses.c.since <= millis(turn.now - CODE_LIFE)):
        turn.delete(app_code_guesses, user=row.user)
    if turn.all(app_device_logins, limit=1) or turn.all(app_code_guesses, limit=1):
        turn.schedule("device logins", SWEEP)


def _expired(turn: Turn, row: AnyRow) -> bool:
    return row.expires_at <= millis(turn.now)
