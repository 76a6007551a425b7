"""What the worker reads."""

from __future__ import annotations

from sqlalchemy import select

from foundry.actors.session_status_sync.tables import followed_streams
from foundry.contracts.ids import SandboxId
from foundry.contracts.messages import Model
from foundry.runtime.turn import Reader


class Followed(Model):
    """One server's stream."""

    sandbox: SandboxId
    server_id: str


def wanted(reader: Reader) -> list[str]:
    """The sessions whose stream is to be read."""
    rows = reader.all(select(followed_streams.c.session).where(followed_streams.c.following.is_(True)))
    return [row.session for row in rows]


def followed(reader: Reader, session: str) -> Followed | None:
    """Whose stream is to be read for this session now."""
    row = reader.first(
        select(followed_streams).where(followed_streams.c.session == session, followed_streams.c.following.is_(True))
    )
    return Followed(sandbox=SandboxId(row.sandbox), server_id=row.server) if row else None
