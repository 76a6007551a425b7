"""The book of runtime issues, kept by whoever coordinates a scope: AppShell and each Organization (R18-R20).

Guarantee: one issue per fingerprint. The same failure again updates its issue; its end removes it; a person clears
one or all. Every change is published as the whole new list.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text, UniqueConstraint

from foundry.contracts.issues import Failure
from foundry.contracts.organization import IssuesChanged, IssueView
from foundry.runtime.columns import AnyRow, from_row
from foundry.runtime.store.tables import owned_table
from foundry.runtime.turn import Turn


def issue_table(kind: str, name: str) -> Table:
    """The table of one kind's issues."""
    return owned_table(
        kind,
        name,
        Column("owner", String, primary_key=True),
        Column("id", String, primary_key=True),
        Column("fingerprint", String, nullable=False),
        Column("trouble", Text, key="failure", nullable=False),
        Column("first_at", BigInteger, nullable=False),
        Column("last_at", BigInteger, nullable=False),
        Column("times", Integer, nullable=False),
        UniqueConstraint("owner", "fingerprint", name=f"{name}_fingerprint"),
    )


def listed(rows: Sequence[AnyRow]) -> list[IssueView]:
    """The issues as lists show them, the latest first."""
    issues = [from_row(IssueView, row) for row in rows]
    return sorted(issues, key=lambda issue: (issue.last_at, issue.id), reverse=True)


class IssueBook:
    """What a turn may do with its actor's issues."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def record(self, turn: Turn, failure: Failure) -> None:
        """Add an issue, or update the one with this fingerprint."""
        now = turn.now
        known = turn.find(self._table, fingerprint=failure.fingerprint)
        if known is None:
            turn.insert(
                self._table,
                id=turn.new_id("iss"),
                fingerprint=failure.fingerprint,
                failure=failure,
                first_at=now,
                last_at=now,
                times=1,
            )
        else:
            turn.update(self._table, {"id": known.id}, failure=failure, last_at=now, times=known.times + 1)
        self._publish(turn)

    def keep(self, turn: Turn, failure: Failure) -> None:
        """Record it, unless exactly this is recorded."""
        known = turn.find(self._table, fingerprint=failure.fingerprint)
        if known is None or known.failure != failure.model_dump_json():
            self.record(turn, failure)

    def end(self, turn: Turn, fingerprint: str) -> None:
        """What was reported works again."""
        if turn.delete(self._table, fingerprint=fingerprint):
            self._publish(turn)

    def end_all(self, turn: Turn, actors: Sequence[str], code: str) -> None:
        """What these actors reported with this code works again, or is no longer there."""
        for issue in listed(turn.all(self._table)):
            if issue.failure.actor in actors and issue.failure.code == code:
                self.end(turn, issue.failure.fingerprint)

    def clear(self, turn: Turn, issue: str | None) -> int:
        """Forget one issue, or all (R20); gives how many there were."""
        gone = turn.delete(self._table, id=issue) if issue else turn.delete(self._table)
        if gone:
            self._publish(turn)
        return gone

    def _publish(self, turn: Turn) -> None:
        turn.publish(IssuesChanged(entity="issues", issues=listed(turn.all(self._table))))
