"""Which releases of Foundry use a database, and whether this one may.

Two consecutive releases run beside each other (docs/operations.md, "Upgrading"). So what the last release still uses
is taken away only when none of its servers lives, and what the release before that left has to be converted by the
last one first.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from foundry import RELEASE
from foundry.contracts.errors import FoundryError

LAST = "0.3"
LAST_REVISION = "0011"  # the first revision of the last release
SERVERS = """
SELECT name FROM leases WHERE name LIKE 'release:%' AND expires_at > extract(epoch FROM clock_timestamp()) * 1000
"""  # PostgreSQL's


class DatabaseTooOld(FoundryError, code="database_too_old", status=409):
    """A workflow of a release before the last one has not ended, or the last release has never opened the database."""

    remedy = f"Start Foundry {LAST} on it first, until `foundry inspect` shows no workflow of the older release."


def refuse_too_old(connection: Connection, revision: str) -> None:
    """Let nothing of a release before the last one be lost.

    Raises:
        DatabaseTooOld: something of it is left.
    """
    if revision < LAST_REVISION:
        raise DatabaseTooOld(f"the database was last used by a release before {LAST} (its revision is {revision})")
    began = connection.execute(text("SELECT release FROM workflows")).scalars().all()
    if left := sum(release is None or _number(release) < _number(LAST) for release in began):
        raise DatabaseTooOld(f"releases before {LAST} left {left} running workflows in this database")


def last_release_lives(connection: Connection) -> bool:
    """Whether a server of an earlier release uses this database now."""
    return any(_number(one) < _number(RELEASE) for one in living_releases(connection))


def living_releases(connection: Connection) -> set[str]:
    """The releases of the servers that are alive. SQLite: none, whoever migrates holds the directory's lock.

    Every server says its release in the same transaction as its heartbeat.
    """
    if connection.dialect.name == "sqlite":
        return set()
    return {name.split(":")[1] for name in connection.execute(text(SERVERS)).scalars()}


def _number(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))
