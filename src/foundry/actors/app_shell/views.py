"""What the edge reads of AppShell."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select

from foundry.actors.app_shell.tables import app_issues, app_orphans, app_sessions
from foundry.actors.runtime_issues import listed
from foundry.contracts.ids import SandboxId, UserId
from foundry.contracts.messages import millis, utc
from foundry.contracts.organization import IssueView
from foundry.contracts.sandbox_instance import OrphanView
from foundry.runtime.columns import AnyRow
from foundry.runtime.reader import Reader


def person_of_token(reader: Reader, token_hash: str, now: datetime | None = None) -> UserId | None:
    """Who is signed in with this token; None if it is unknown or has expired.

    Args:
        now: the machine's clock if absent.
    """
    row = reader.first(select(app_sessions).where(app_sessions.c.token_hash == token_hash))
    if row is None or row.expires_at <= millis(now or datetime.now(UTC)):
        return None
    return UserId(row.user)


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
