"""The audit log: who did what, how, when and from where. Rows are added, and deleted after 400 days."""

from __future__ import annotations

from datetime import timedelta

from foundry.actors.app_shell.tables import app_audit
from foundry.actors.app_shell.views import ADMIN
from foundry.contracts.app_shell import AdminTokenChanged, CredentialsEnded, RecordAdminRequest, Via
from foundry.contracts.messages import millis
from foundry.runtime.actor import due, handles
from foundry.runtime.turn import Turn

RETENTION = timedelta(days=400)
SWEEP = timedelta(days=1)
AT_ONCE = 1_000  # rows that one turn deletes


def record(
    turn: Turn,
    kind: Via,
    what: str,
    *,
    person: str | None = None,
    login: str = "",
    detail: str = "",
    method: str = "",
    path: str = "",
    address: str = "",
) -> None:
    """Add one line."""
    turn.insert(
        app_audit,
        id=turn.new_id("aud"),
        at=turn.now,
        kind=kind,
        person=person,
        login=login,
        what=what,
        detail=detail,
        method=method,
        path=path,
        address=address,
    )


@handles(RecordAdminRequest)
def admin_request(turn: Turn, command: RecordAdminRequest) -> None:
    record(
        turn,
        Via.ADMIN,
        "request",
        person=command.person,
        login=command.login,
        method=command.method,
        path=command.path,
        address=command.address,
    )


@handles(AdminTokenChanged)
def admin_token_changed(turn: Turn, command: AdminTokenChanged) -> None:
    record(turn, Via.ADMIN, "admin token rotated")
    turn.publish(CredentialsEnded(entity=ADMIN, person=ADMIN, ended=[ADMIN]))


@due("audit retention")
def retention(turn: Turn) -> None:
    """Delete the lines that are older than the retention."""
    old = turn.all(app_audit, app_audit.c.at < millis(turn.now - RETENTION), limit=AT_ONCE)
    for row in old:
        turn.delete(app_audit, id=row.id)
    turn.schedule("audit retention", SWEEP if len(old) < AT_ONCE else timedelta(0))
