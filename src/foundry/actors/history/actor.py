"""History: what happened in one repository."""

from __future__ import annotations

from foundry.actors.history.tables import history_entries
from foundry.contracts.history import HistoryEntry
from foundry.contracts.messages import millis
from foundry.runtime.actor import Actor, creates
from foundry.runtime.turn import Turn


class History(Actor):
    """Owns the feed of one repository. Only ever appends."""

    @creates(HistoryEntry)
    def append(self, turn: Turn, message: HistoryEntry) -> None:
        """The numbers have no gaps; the order is that of arrival."""
        last = turn.all(history_entries, order_by=history_entries.c.number.desc(), limit=1)
        turn.insert(
            history_entries,
            number=last[0].number + 1 if last else 1,
            what=message.what,
            text=message.text,
            login=message.person.login if message.person else None,
            task=message.task,
            at=millis(message.at),
        )
