"""What the worker reads."""

from __future__ import annotations

from sqlalchemy import select

from foundry.actors.session_status_sync.tables import read_streams
from foundry.contracts.ids import SandboxId
from foundry.contracts.messages import Model
from foundry.runtime.reader import Reader


class Stream(Model):
    """One server's stream."""

    sandbox: SandboxId
    server_id: str


def wanted(reader: Reader) -> list[str]:
    """The sessions whose stream is to be read."""
    rows = reader.all(select(read_streams.c.session).where(read_streams.c.reading.is_(True)))
    return [row.session for row in rows]


def stream_of(reader: Reader, session: str) -> Stream | None:
    """Whose stream is to be read for this session now."""
    row = reader.first(select(read_streams).where(read_streams.c.session == session, read_streams.c.reading.is_(True)))
    return Stream(sandbox=SandboxId(row.sandbox), server_id=row.server) if row else None
