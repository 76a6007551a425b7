"""Bring a database to the shape this version needs, at start-up, safely when two processes start at once.

On SQLite the caller holds the data directory's lock; on PostgreSQL an advisory lock lets one process migrate while
the others wait. A database that is up to date is found so with one read, without importing Alembic.

A revision with a line `CONTRACTS = ...` takes away what the release before still uses. It waits until no server of that
release lives; `contracted` says whether it still waits. One with a line `CONVERTS = ...` changes rows into a form that
the release before reads too, beside its servers.

`make revision MESSAGE="what changes"` writes the next revision from the tables as they are declared. A contraction is
its release's last one: a server that starts beside one of the release before must not need what stands behind it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from foundry.contracts.errors import FoundryError
from foundry.runtime.store.base import Store
from foundry.runtime.store.postgres import PostgresStore, postgres_engine
from foundry.runtime.store.releases import LAST_REVISION, last_release_lives, refuse_too_old
from foundry.runtime.store.sqlite import SqliteStore, sqlite_engine

if TYPE_CHECKING:
    from alembic.config import Config

HERE = Path(__file__).parent / "migrations"
LOCK = 0x666F756E647279  # "foundry": PostgreSQL's advisory lock for migrations
GIVE_WAY = "500ms"  # that a revision waits for a table or a row; deadlocks are looked for after 1 s


class DatabaseTooNew(FoundryError, code="database_too_new", status=409):
    """A later version of Foundry has migrated the database."""

    remedy = "Start the later version, or restore the backup from before the migration."


def sqlite_path(url: str) -> Path:
    """The file of a `sqlite:///path` URL."""
    return Path(url.removeprefix("sqlite:///"))


def engine_of(url: str) -> Engine:
    """An engine for migrations and other work beside the store."""
    return sqlite_engine(sqlite_path(url)) if url.startswith("sqlite") else postgres_engine(url, 1)


def open_store(url: str) -> Store:
    """The store of a database URL. SQLite: the caller holds the directory's lock."""
    return SqliteStore(sqlite_path(url)) if url.startswith("sqlite") else PostgresStore(url)


def revisions(directory: Path = HERE) -> dict[str, str | None]:
    """Revision -> the one before it, read from the files' own lines."""
    found: dict[str, str | None] = {}
    for revision, source in _sources(directory).items():
        down = re.search(r"^down_revision = ['\"](\w+)['\"]", source, re.MULTILINE)
        found[revision] = down[1] if down else None
    return found


def _sources(directory: Path) -> dict[str, str]:
    """Revision -> its file's text."""
    found: dict[str, str] = {}
    for path in (directory / "versions").glob("[0-9]*.py"):
        source = path.read_text()
        revision = re.search(r"^revision = ['\"](\w+)['\"]", source, re.MULTILINE)
        assert revision, path
        found[revision[1]] = source
    return found


def head(directory: Path = HERE) -> str:
    """The newest revision of this version."""
    known = revisions(directory)
    (newest,) = known.keys() - {down for down in known.values() if down}
    return newest


def contraction(directory: Path = HERE) -> str | None:
    """This release's revision that takes away what the release before still uses, if there is one. It is the newest."""
    for revision, source in sorted(_sources(directory).items()):
        since = re.search(r"^CONTRACTS = ['\"](\w+)['\"]", source, re.MULTILINE)
        if since and since[1] >= LAST_REVISION:
            return revision
    return None


def before_contracting(directory: Path = HERE) -> str:
    """The newest revision that the release before can live with."""
    contracts = contraction(directory)
    return (contracts and revisions(directory)[contracts]) or head(directory)


def contracted(url: str, directory: Path = HERE) -> bool:
    """Whether nothing is left that an earlier release used."""
    engine = engine_of(url)
    try:
        with engine.connect() as connection:
            return _current(connection) == head(directory)
    finally:
        engine.dispose()


def migrate(url: str, directory: Path = HERE) -> bool:
    """Bring the database up to date, as far as living servers allow; whether anything was done.

    Args:
        directory: has the revisions.

    Raises:
        DatabaseTooNew: it is at a revision this version does not know.
        DatabaseTooOld: something of a release before the last one is left.
        sqlalchemy.exc.OperationalError: what is to change is in use at the moment. Call it again.
    """
    engine = engine_of(url)
    try:
        with engine.connect() as connection:
            if _current(connection) == head(directory):
                return False
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
                connection.commit()
                try:
                    return _upgrade(connection, directory)
                finally:
                    connection.rollback()
                    connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
                    connection.commit()
            return _upgrade(connection, directory)
    finally:
        engine.dispose()


def _upgrade(connection: Connection, directory: Path) -> bool:
    current = _current(connection)
    if current == head(directory):
        return False
    if current is not None and current not in revisions(directory):
        raise DatabaseTooNew(f"the database is at revision {current}, which this version does not know")
    target = head(directory)
    if current is not None:
        refuse_too_old(connection, current)
        if last_release_lives(connection):
            target = before_contracting(directory)
        if current >= target:
            return False
    from alembic import command

    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif current is not None:
        connection.exec_driver_sql(f"SET lock_timeout = '{GIVE_WAY}'")  # not LOCAL: a revision may commit in between
    command.upgrade(alembic_config(connection, directory), target)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("COMMIT")
    else:
        connection.commit()
    return True


def alembic_config(connection: Connection, directory: Path = HERE) -> Config:
    """For Alembic's commands on this connection, with the revisions in this directory."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return row[0] if row else None
