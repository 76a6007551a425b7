"""What release 0.2 stored has the names that 0.3 gave it.

Live servers of 0.3 may use the rows meanwhile. So on PostgreSQL they change in small transactions that wait for no row
that a turn holds: such a row comes later. Interrupted, this begins again and finds what is left.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
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

mailbox = sa.table("mailbox", sa.column("id"), sa.column("word", sa.String), sa.column("body", sa.Text))
events = sa.table("events", *map(sa.column, ("actor", "version", "word")), sa.column("body", sa.Text))
asks = sa.table("asks", sa.column("key"), sa.column("answer", sa.Text))
lists = [
    sa.table(name, sa.column(owner), sa.column("task"), sa.column("summary", sa.Text))
    for name, owner in (("organization_tasks", "organization"), ("repository_tasks", "repository"))
]
issues = [
    sa.table(name, sa.column("owner"), sa.column("id"), sa.column("trouble", sa.Text))
    for name in ("organization_issues", "app_issues")
]


def upgrade() -> None:
    for messages in (sa.delete(mailbox).where(mailbox.c.word == UNREAD), *map(_message, MESSAGES.items())):
        _change(messages, [mailbox.c.id])
    _rename(mailbox.c.body, [mailbox.c.id])
    _rename(asks.c.answer, [asks.c.key])
    _rename(events.c.body, [events.c.actor, events.c.version], events.c.word.in_(EVENTS))
    for table in lists:
        _rename(table.c.summary, list(table.c)[:2])
    for table in issues:
        _rename(table.c.trouble, list(table.c)[:2])


def _message(names: tuple[str, str]) -> sa.Update:
    old, new = names
    return sa.update(mailbox).where(mailbox.c.word == old).values(word=new)


def _rename(column: sa.Column[str], key: Sequence[sa.Column[Any]], *conditions: sa.ColumnElement[bool]) -> None:
    """The names in this column's JSON."""
    value: Any = column
    for old, new in NAMES.items():
        value = sa.func.replace(value, old, new)
    _change(sa.update(column.table).where(*conditions, column != value).values({column: value}), key)


def _change(change: sa.Update | sa.Delete, key: Sequence[sa.Column[Any]]) -> None:
    """Apply it to all rows that it is about, a batch at a time.

    Raises:
        sqlalchemy.exc.OperationalError: a turn has held one of them all the time.
    """
    connection = op.get_bind()
    condition, keys = change.whereclause, sa.tuple_(*key)
    assert condition is not None
    held = 0  # looks in a row that found no row free
    while left := connection.execute(sa.select(*key).where(condition)).all():
        changed = 0
        for start in range(0, len(left), BATCH):
            batch = [tuple(row) for row in left[start : start + BATCH]]
            free = sa.select(*key).where(keys.in_(batch), condition).with_for_update(skip_locked=held < TRIES)
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
