"""What release 0.2 stored has the names that 0.3 gave it.

Live servers of 0.3 may use the rows meanwhile. So on PostgreSQL they change in small transactions that wait for no row
that a turn holds: such a row comes later. Interrupted, this begins again and finds what is left.
"""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

CONVERTS = "0011"

BATCH = 200  # rows of one transaction
TRIES = 50  # looks for rows that turns hold; then the migration fails, and the next start goes on
PAUSE = 0.1  # seconds between them

# In the text of JSON a quote within a string is escaped, so these match names and values and nothing that people wrote.
NAMES = {
    '"trouble":': '"failure":',
    '"save_trouble":': '"checkpoint_failure":',
    '"kept":': '"retained":',
    '"resting":': '"sandbox_stopped":',
    '"kind":"late"': '"kind":"overdue"',
    '"state":"kept"': '"state":"retained"',
}
MESSAGES = {
    "TroubleRaised": "FailureRaised",
    "TroubleEnded": "FailureEnded",
    "TroublesOver": "FailuresOver",
}  # not `Follow` and `Unfollow`: 0.3 goes on sending them
UNREAD = "SessionReady"  # a message that only 0.1 read
EVENTS = ("IssuesChanged", "SandboxChanged", "SessionChanged", "TaskChanged", "TaskListed")  # that have such a name


def _table(name: str, *columns: str) -> sa.TableClause:
    found: list[sa.ColumnClause[Any]] = [sa.column(column) for column in columns]
    return sa.table(name, *found)


def upgrade() -> None:
    mailbox = _table("mailbox", "id", "word", "body")
    events = _table("events", "actor", "version", "word", "body")
    _change(sa.delete(mailbox).where(mailbox.c.word == UNREAD), "id")
    for old, new in MESSAGES.items():
        _change(sa.update(mailbox).where(mailbox.c.word == old).values(word=new), "id")
    _rename(mailbox, "body", "id")
    _rename(events, "body", "actor", "version", where=events.c.word.in_(EVENTS))
    _rename(_table("asks", "key", "answer"), "answer", "key")
    for name, owner in (("organization_tasks", "organization"), ("repository_tasks", "repository")):
        _rename(_table(name, owner, "task", "summary"), "summary", owner, "task")
    for name in ("organization_issues", "app_issues"):
        _rename(_table(name, "owner", "id", "trouble"), "trouble", "owner", "id")


def _rename(table: sa.TableClause, column: str, *key: str, where: sa.ColumnElement[bool] | None = None) -> None:
    """The names in this column's JSON."""
    value: Any = table.c[column]
    for old, new in NAMES.items():
        value = sa.func.replace(value, old, new)
    change = sa.update(table).where(table.c[column] != value).values({column: value})
    _change(change if where is None else change.where(where), *key)


def _change(change: sa.Update | sa.Delete, *key: str) -> None:
    """Apply it to all rows that it is about, a batch at a time.

    Raises:
        sqlalchemy.exc.OperationalError: a turn has held one of them all the time.
    """
    connection = op.get_bind()
    condition = change.whereclause
    assert condition is not None
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in key]
    keys = sa.tuple_(*columns)
    wanted: sa.Select[*tuple[Any, ...]] = sa.select(*columns).select_from(change.table).where(condition)
    held = 0  # looks in a row that found no row free
    while left := connection.execute(wanted).all():
        changed = 0
        for start in range(0, len(left), BATCH):
            batch = [tuple(row) for row in left[start : start + BATCH]]
            free = wanted.where(keys.in_(batch)).with_for_update(skip_locked=held < TRIES)
            found = [tuple(row) for row in connection.execute(free)]
            if found:
                connection.execute(change.where(keys.in_(found)))
                changed += len(found)
            if connection.dialect.name == "postgresql":
                connection.commit()
        held = 0 if changed else held + 1
        if held:
            time.sleep(PAUSE)


def downgrade() -> None:
    raise NotImplementedError("restore a backup instead")
