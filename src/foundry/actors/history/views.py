"""What the edge reads of History."""

from __future__ import annotations

from sqlalchemy import select

from foundry.actors.history.tables import history_entries
from foundry.contracts.history import HistoryView
from foundry.contracts.ids import RepositoryId
from foundry.contracts.messages import utc
from foundry.runtime.reader import Reader


def entries(reader: Reader, repository: RepositoryId, before: int | None = None, limit: int = 50) -> list[HistoryView]:
    """The latest entries with a number below `before`, newest first; nothing yet is an empty list."""
    query = select(history_entries).where(history_entries.c.repository == repository)
    if before is not None:
        query = query.where(history_entries.c.number < before)
    rows = reader.all(query.order_by(history_entries.c.number.desc()).limit(limit))
    return [
        HistoryView(number=row.number, what=row.what, text=row.text, login=row.login, task=row.task, at=utc(row.at))
        for row in rows
    ]
