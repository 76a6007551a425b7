"""OverdueMonitor: what waits though its time has come, said as a runtime issue.

A message whose turn fails is retried and set aside, a schedule that fails becomes an issue. But neither counts a try
while the infrastructure is at fault: a row that somebody else holds locked, a message for a kind that no server here
knows. So that nothing waits without a word, every process looks now and then at the two tables; what is late by more
than `Pace.overdue` is one issue each, which ends automatically.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from foundry.contracts.errors import FoundryError, Unavailable
from foundry.contracts.issues import IssueKind
from foundry.contracts.messages import APP, ScopeId
from foundry.runtime.columns import AnyRow
from foundry.runtime.host import Host
from foundry.runtime.reader import Reader
from foundry.runtime.store.base import Store
from foundry.runtime.store.tables import mailbox, schedules
from foundry.runtime.upkeep.condition_issue import StandingIssue

MAIL, SCHEDULE = "late messages", "late schedules"
REMEDY = (
    "`foundry inspect` shows what waits; the server's log and /healthz say what blocks it. It continues automatically."
)


class OverdueMonitor:
    """
    Args:
        limit: seconds beyond its time.
    """

    def __init__(self, host: Host, store: Store, limit: float) -> None:
        self._host, self._store, self._limit = host, store, limit
        self._issues = {name: StandingIssue(IssueKind.OVERDUE, name, REMEDY) for name in (MAIL, SCHEDULE)}

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._limit / 2)
            await self._tell(await asyncio.to_thread(self._store.read, self._look))

    def _look(self, connection: Connection) -> Mapping[str, str]:
        """What is to be said of each; "" if nothing is late."""
        reader, before = Reader(connection), self._store.now(connection) - int(self._limit * 1000)
        due = (mailbox.c.set_aside_at.is_(None), mailbox.c.next_try_at <= before, mailbox.c.sent_at <= before)
        mail = select(func.count(), func.min(mailbox.c.receiver)).where(*due)
        plan = select(func.count(), func.min(schedules.c.actor)).where(schedules.c.due_at <= before)
        return {
            MAIL: self._words(reader.first(mail), "message", "to"),
            SCHEDULE: self._words(reader.first(plan), "schedule", "of"),
        }

    def _words(self, found: AnyRow | None, what: str, whose: str) -> str:
        if found is None or not found[0]:
            return ""
        number = f"1 {what} waits" if found[0] == 1 else f"{found[0]} {what}s wait"
        return f"{number} for over {self._limit:g} s beyond the time, {whose} {found[1]} first."

    async def _tell(self, words: Mapping[str, str]) -> None:
        root = self._host.coordinator(ScopeId(APP))
        for name, said in words.items():
            try:
                await self._issues[name].tell(self._host, root, said)
            except Unavailable:
                raise
            except FoundryError:  # nobody coordinates yet: this is the first start
                continue
