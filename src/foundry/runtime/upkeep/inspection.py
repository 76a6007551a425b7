"""What the runtime holds at one moment: reads only, for whoever runs the server.

It does not need the writer, so it works while the writer is stuck. A list shows its `ROW_LIMIT` worst rows, and says
that it was cut.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import case, func, select

from foundry.contracts.inspection import (
    BlobsSeen,
    Inspection,
    KindCount,
    LeaseSeen,
    LetterSetAside,
    MailboxSeen,
    ScheduleSeen,
    WorkflowSeen,
)
from foundry.contracts.messages import utc
from foundry.runtime.columns import AnyRow
from foundry.runtime.reader import Query, Reader
from foundry.runtime.store.tables import actors, blobs, leases, mailbox, schedules, workflows

ROW_LIMIT = 200  # rows of one list


def inspection(reader: Reader, now: int, executor: str, limit: int = ROW_LIMIT) -> Inspection:
    """Everything except what DBOS knows about the workflows.

    Args:
        now: Unix milliseconds, by the clock that the rows' times are written by.
        executor: the replica that asks.
        limit: the most rows of one list.
    """
    cut: list[str] = []

    def rows(name: str, query: Query) -> Sequence[AnyRow]:
        found = reader.all(query.limit(limit + 1))
        if len(found) > limit:
            cut.append(name)
        return found[:limit]

    def age(milliseconds: int | None) -> float:
        return 0.0 if milliseconds is None else max(0.0, (now - milliseconds) / 1000)

    def left(milliseconds: int) -> float:
        return (milliseconds - now) / 1000

    return Inspection(
        at=utc(now),
        executor=executor,
        actors=[
            KindCount(kind=r.kind, alive=r.alive, ended=r.number - r.alive) for r in reader.all(_kinds())
        ],
        mailboxes=[
            MailboxSeen(receiver=r.receiver, waiting=r.number - r.aside, set_aside=r.aside, oldest=age(r.oldest))
            for r in rows("mailboxes", _mailboxes())
        ],
        set_aside=[
            LetterSetAside(
                id=r.id, receiver=r.receiver, sender=r.sender, word=r.word, tries=r.tries, at=utc(r.set_aside_at),
                error=_first_line(r.error),
            )
            for r in rows("set_aside", _letters_set_aside())
        ],
        workflows=[
            WorkflowSeen(
                id=r.id, name=r.name, owner=r.owner, scope=r.scope, age=age(r.started_at), status="",
                executor="", generation=r.generation, crashes=max(0, r.crashes), cancelled=bool(r.cancelled), steps=[],
            )
            for r in rows("workflows", select(workflows).order_by(workflows.c.started_at))
        ],
        leases=[
            LeaseSeen(name=r.name, holder=r.holder, fencing=r.fencing, left=left(r.expires_at))
            for r in rows("leases", select(leases).where(leases.c.expires_at > 0).order_by(leases.c.name))
        ],
        schedules=[
            ScheduleSeen(actor=r.actor, name=r.name, due_in=left(r.due_at), tries=r.tries, error=_first_line(r.error))
            for r in rows("schedules", select(schedules).order_by(schedules.c.due_at))
        ],
        blobs=_kept(reader.all(_sizes())),
        cut=cut,
    )  # fmt: skip


def _kinds() -> Query:
    alive = func.sum(case((actors.c.deleted_at.is_(None), 1), else_=0)).label("alive")
    return select(actors.c.kind, func.count().label("number"), alive).group_by(actors.c.kind).order_by(actors.c.kind)


def _mailboxes() -> Query:
    """The one whose first message has waited longest comes first."""
    waits = mailbox.c.set_aside_at.is_(None)
    aside = func.sum(case((waits, 0), else_=1)).label("aside")
    oldest = func.min(case((waits, mailbox.c.sent_at))).label("oldest")
    query = select(mailbox.c.receiver, func.count().label("number"), aside, oldest)
    return query.group_by(mailbox.c.receiver).order_by(oldest.is_(None), oldest, mailbox.c.receiver)


def _letters_set_aside() -> Query:
    return select(mailbox).where(mailbox.c.set_aside_at.is_not(None)).order_by(mailbox.c.set_aside_at)


def _sizes() -> Query:
    return select(blobs.c.key, func.sum(func.length(blobs.c.data)).label("size")).group_by(blobs.c.key)


def _kept(found: Sequence[AnyRow]) -> list[BlobsSeen]:
    """By kind: the first part of the key."""
    kinds: dict[str, list[int]] = {}
    for row in found:
        kinds.setdefault(row.key.partition("/")[0], []).append(int(row.size))
    return [BlobsSeen(kind=kind, count=len(sizes), size=sum(sizes)) for kind, sizes in sorted(kinds.items())]


def _first_line(error: str | None) -> str:
    return (error or "").partition("\n")[0]
