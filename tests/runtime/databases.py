"""Databases as an earlier release left them."""

from __future__ import annotations

from alembic import command as alembic
from sqlalchemy import Boolean, Integer, MetaData, Table, insert, text

from foundry.runtime.store.migrate import alembic_config, engine_of

LATER = 9_999_999_999_999  # milliseconds; a lease until then is a living server's


def lease(name: str) -> str:
    return f"INSERT INTO leases (name, holder, fencing, expires_at) VALUES ('{name}', 'one', 1, {LATER})"


def leases(release: str) -> tuple[str, str]:
    """Of a server that lives."""
    return lease("replica:one"), lease(f"release:{release}:one")


def as_left(url: str, revision: str, *statements: str) -> None:
    """A database of an earlier release, and what it left there."""
    engine = engine_of(url)
    with engine.connect() as connection:
        alembic.upgrade(alembic_config(connection), revision)
        for statement in statements:
            connection.execute(text(statement))
        connection.commit()
    engine.dispose()


def done_to(url: str, *statements: str) -> None:
    """What a server does to a database, whatever its revision is."""
    engine = engine_of(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def mail(id: int, word: str, body: str = "{}") -> str:
    return (
        "INSERT INTO mailbox (id, receiver, sender, seq, word, body, sent_at)"
        f" VALUES ({id}, 'AppShell:app', 'Task:tsk_1', {id}, '{word}', '{body}', 1)"
    )


def put(url: str, table_name: str, rows: list[dict[str, object]]) -> None:
    """Insert rows with something in each column that may not be empty."""
    engine = engine_of(url)
    with engine.begin() as connection:
        table = Table(table_name, MetaData(), autoload_with=connection)
        fill = {c.name: 1 if isinstance(c.type, Integer) else False if isinstance(c.type, Boolean) else "x"
                for c in table.columns if not c.nullable and c.server_default is None}  # fmt: skip
        connection.execute(insert(table), [{**fill, **row} for row in rows])
    engine.dispose()


def got(url: str, query: str) -> list[tuple[object, ...]]:
    engine = engine_of(url)
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found
