"""What the edge reads of AppShell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select

from foundry.actors.app_shell.tables import app_installations, app_issues, app_sessions, app_strays, app_users
from foundry.actors.runtime_issues import listed
from foundry.contracts.app_shell import InstallationView
from foundry.contracts.ids import OrganizationId, SandboxId, UserId
from foundry.contracts.messages import millis, utc
from foundry.contracts.organization import IssueView
from foundry.contracts.sandbox_instance import StrayView
from foundry.runtime.turn import AnyRow, Reader


def person_of_token(reader: Reader, token_hash: str, now: datetime | None = None) -> tuple[UserId, str] | None:
    """Who is signed in with this token: id and login; None if it is unknown or has expired.

    Args:
        now: the machine's clock if absent.
    """
    row = reader.first(select(app_sessions).where(app_sessions.c.token_hash == token_hash))
    if row is None or row.expires_at <= millis(now or datetime.now(UTC)):
        return None
    return UserId(row.user), row.login


def users(reader: Reader) -> list[tuple[UserId, str]]:
    """Everybody who ever signed in, the latest first: id and login."""
    rows = reader.all(select(app_users).order_by(app_users.c.signed_in_at.desc(), app_users.c.user))
    return [(UserId(row.user), row.login) for row in rows]


def installations(reader: Reader) -> list[InstallationView]:
    """Every installation of the App that is known."""
    return installation_views(reader.all(select(app_installations)))


def installation_views(rows: Sequence[AnyRow]) -> list[InstallationView]:
    found = [
        InstallationView(
            installation=row.installation,
            organization=OrganizationId(row.organization),
            login=row.login,
            active=row.active,
        )
        for row in rows
    ]
    return sorted(found, key=lambda view: (view.login.lower(), view.installation))


def installation_organization(reader: Reader, installation: int) -> OrganizationId | None:
    """The organization this installation of the App belongs to, while it is active."""
    query = select(app_installations).where(app_installations.c.installation == installation)
    row = reader.first(query)
    return OrganizationId(row.organization) if row is not None and row.active else None


def issues(reader: Reader) -> list[IssueView]:
    """The runtime issues of scope `app`, the latest first."""
    return listed(reader.all(select(app_issues)))


def strays(reader: Reader) -> list[StrayView]:
    """The sandboxes that nobody uses, the biggest first."""
    found = [stray(row) for row in reader.all(select(app_strays))]
    return sorted(found, key=lambda one: (-(one.disk or 0), one.id))


def stray(row: AnyRow) -> StrayView:
    return StrayView(
        id=SandboxId(row.sandbox), disk=row.disk, trouble=row.trouble, since=utc(row.since), removing=row.removing
    )
