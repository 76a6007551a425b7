"""SQLite: one writer thread, one file, group commit.

Guarantee: what a work wrote is on disk (WAL, synchronous=FULL) before anybody hears of it. The writer takes what is
waiting, at most `BATCH` works, runs each behind a savepoint, commits once and then answers all. A work that fails
is undone alone; a commit that fails (disk full) fails every work in it, visibly, with nothing applied.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar, cast

import structlog
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import NullPool, QueuePool

from foundry.contracts.errors import FoundryError
from foundry.runtime.store.base import (
    BATCH,
    Busy,
    Effects,
    Fenced,
    Mail,
    Opened,
    StoredAsk,
    Transaction,
    Work,
)
from foundry.runtime.store.slow_turns import Watch

T = TypeVar("T")

log = structlog.get_logger("foundry.store")

READERS = 8  # read-only connections kept open
BUSY = 10.0  # seconds to wait for another process's lock (a backup, the sqlite3 shell)

INFRASTRUCTURE = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_CORRUPT,
}

OPEN = """
SELECT a.scope, a.seq, a.version, a.deleted_at, a.shown, a.told, k.hash, k.answer, k.refusal
FROM (SELECT 1) LEFT JOIN actors a ON a.actor = ? LEFT JOIN asks k ON k.key = ?
"""

MAIL = """
SELECT m.id, m.sender, m.seq, m.word, m.body, m.tries, m.sent_at FROM mailbox m
WHERE m.receiver = ? AND m.set_aside_at IS NULL AND NOT EXISTS (
  SELECT 1 FROM mailbox e WHERE e.receiver = m.receiver AND e.sender = m.sender AND e.seq <= m.seq
  AND e.set_aside_at IS NULL AND e.next_try_at > 0 AND e.next_try_at > ?)
ORDER BY m.id LIMIT ?
"""


class DataDirectoryTaken(FoundryError, code="data_directory_taken", status=409):
    """Another `foundry serve` uses this data directory."""

    remedy = "Stop the other server, or choose another directory with --data-dir."


def lock_directory(directory: Path) -> IO[str]:
    """Hold the directory for this process until the file is closed. On SQLite this lock is the lease (DESIGN 3)."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "lock"
    file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise DataDirectoryTaken(f"{directory} is in use by process {holder}", field="data_dir") from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def sqlite_engine(path: Path, *, read_only: bool = False) -> Engine:
    """An engine that leaves BEGIN and COMMIT to us; pysqlite's own habits would break savepoints."""
    engine = create_engine(
        f"sqlite:///{path}",
        isolation_level="AUTOCOMMIT",
        poolclass=QueuePool if read_only else NullPool,
        connect_args={"check_same_thread": False, "timeout": BUSY},
        **({"pool_size": READERS, "max_overflow": 0} if read_only else {}),
    )

    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA cache_size=-16000")  # KiB
        connection.execute("PRAGMA temp_store=MEMORY")
        if read_only:
            connection.execute("PRAGMA query_only=1")

    event.listen(engine, "connect", prepare)
    return engine


class SqliteTransaction:
    """The runtime's rows, in SQLite's words."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.raw = cast(sqlite3.Connection, connection.connection.dbapi_connection)
        self.now = 0

    @contextmanager
    def savepoint(self) -> Generator[None]:
        run = self.raw.execute
        run("SAVEPOINT turn")
        try:
            yield
        except BaseException:
            if self.raw.in_transaction:  # some errors (disk full) have already rolled back everything
                run("ROLLBACK TO turn")
                run("RELEASE turn")
            raise
        run("RELEASE turn")

    def open(self, actor: str, ask: str | None = None) -> Opened:
        row = self.raw.execute(OPEN, (actor, ask)).fetchone()
        scope, seq, version, deleted_at, shown, told, hash_, answer, refusal = row
        stored = None if hash_ is None else StoredAsk(hash_, answer, refusal)
        if scope is None:
            return Opened(False, False, "", 0, 0, stored)
        return Opened(True, deleted_at is not None, scope, seq, version, stored, shown, told)

    def close(self, actor: str, opened: Opened, effects: Effects) -> None:
        raw, now = self.raw, self.now
        seq, version = opened.seq + len(effects.mail), opened.version + len(effects.events)
        if effects.birth:
            raw.execute(
                "INSERT INTO actors (actor, kind, parent, scope, seq, version, created_at) VALUES (?,?,?,?,?,?,?)",
                (actor, *effects.birth, seq, version, now),
            )
        elif effects.deleted:
            raw.execute("UPDATE actors SET seq=?, version=?, deleted_at=? WHERE actor=?", (seq, version, now, actor))
            raw.execute("DELETE FROM schedules WHERE actor=?", (actor,))
        elif effects.mail or effects.events:
            raw.execute("UPDATE actors SET seq=?, version=? WHERE actor=?", (seq, version, actor))
        if effects.shown is not None or effects.told is not None:
            marks = "UPDATE actors SET shown=coalesce(?, shown), told=coalesce(?, told) WHERE actor=?"
            raw.execute(marks, (effects.shown, effects.told, actor))
        if effects.mail:
            raw.executemany(
                "INSERT INTO mailbox (receiver, seq, word, body, sender, sent_at) VALUES (?,?,?,?,?,?)",
                [(*mail, actor, now) for mail in effects.mail],
            )
        for entity in effects.compacted:
            raw.execute("DELETE FROM events WHERE actor=? AND entity=?", (actor, entity))
        if effects.events:
            raw.executemany(
                "INSERT INTO events (version, word, entity, body, repository, person, actor, at)"
                " VALUES (?,?,?,?,?,?,?,?)",
                [(*event, actor, now) for event in effects.events],
            )
        if effects.starts:
            raw.executemany(
                "INSERT INTO workflows (id, name, scope, job, release, owner, started_at) VALUES (?,?,?,?,?,?,?)",
                [(*start, actor, now) for start in effects.starts],
            )
        for workflow in effects.cancels:
            raw.execute(
                "UPDATE workflows SET generation=generation+1, cancelled=1 WHERE id=? AND owner=?",
                (workflow, actor),
            )
        for name, due in effects.schedules.items():
            if due is None:
                raw.execute("DELETE FROM schedules WHERE actor=? AND name=?", (actor, name))
            else:
                raw.execute(
                    "INSERT INTO schedules (actor, name, due_at, generation) VALUES (?,?,?,1) ON CONFLICT (actor, name)"
                    " DO UPDATE SET due_at=excluded.due_at, generation=schedules.generation+1",
                    (actor, name, due),
                )
        if effects.ask:
            raw.execute(
                "INSERT INTO asks (key, hash, answer, refusal, workflow, created_at) VALUES (?,?,?,?,?,?)",
                (*effects.ask, now),
            )

    def mail(self, actor: str, limit: int) -> Sequence[Mail]:
        return [Mail(*row) for row in self.raw.execute(MAIL, (actor, self.now, limit))]

    def claim(self, actor: str, mail: Mail) -> bool:
        return self.raw.execute("DELETE FROM mailbox WHERE id=?", (mail.id,)).rowcount == 1

    def mail_failed(self, mail: Mail, error: str, next_try_at: int, *, set_aside: bool) -> None:
        self.raw.execute(
            "UPDATE mailbox SET tries=tries+1, error=?, next_try_at=?, set_aside_at=? WHERE id=?",
            (error, next_try_at, self.now if set_aside else None, mail.id),
        )

    def dropped(self, actor: str) -> None:
        self.raw.execute("UPDATE actors SET dropped=dropped+1 WHERE actor=?", (actor,))

    def fence(self, lease: str, fencing: int) -> None:
        row = self.raw.execute("SELECT fencing FROM leases WHERE name=?", (lease,)).fetchone()
        if row is None or row[0] != fencing:
            raise Fenced(f"lease {lease} is no longer held with number {fencing}")

    def infrastructure(self, error: BaseException) -> bool:
        cause = getattr(error, "orig", error)  # SQLAlchemy wraps the driver's
        return isinstance(cause, sqlite3.Error) and getattr(cause, "sqlite_errorcode", 0) & 0xFF in INFRASTRUCTURE

    def conflict(self, error: BaseException) -> bool:
        return isinstance(getattr(error, "orig", error), sqlite3.IntegrityError)

    def execute(self, sql: str, *values: object) -> Sequence[Sequence[object]]:
        return self.raw.execute(sql, values).fetchall()


class SqliteStore:
    """The writer thread and the readers' connections of one database file."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = sqlite_engine(path)
        self._readers = sqlite_engine(path, read_only=True)
        self._waiting: deque[Work] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._watch = Watch()
        self._tx: SqliteTransaction | None = None  # the writer's, on a connection of its own
        self._thread: threading.Thread | None = None
        self._settled: Callable[[Sequence[Work], BaseException | None], None] = lambda works, error: None

    def start(self, settled: Callable[[Sequence[Work], BaseException | None], None]) -> None:
        self._settled = settled
        self._thread = threading.Thread(target=self._write, name="foundry-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Work) -> None:
        with self._wake:
            if self._closing:
                raise Busy("the store is shutting down")
            self._waiting.append(work)
            self._wake.notify()

    def _take(self) -> list[Work]:
        with self._wake:
            while not self._waiting and not self._closing:
                self._wake.wait()
            return [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]

    def _write(self) -> None:
        while batch := self._take():
            self._settled(batch, self._batch(batch))
        if self._tx is not None:
            self._tx.connection.close()

    def _batch(self, batch: list[Work]) -> BaseException | None:
        """Why nothing of it was applied, if so. A database that cannot be opened now is tried again by the next."""
        try:
            tx = self._tx = self._tx or SqliteTransaction(self._writer.connect())
            tx.raw.execute("BEGIN IMMEDIATE")
            tx.now = int(time.time() * 1000)
            shared: Transaction = tx
            for work in batch:
                with self._watch.doing(work):
                    work.run(shared)
                if not tx.raw.in_transaction:
                    raise Busy("the database gave up the transaction (is the disk full?)")
            tx.raw.execute("COMMIT")
        except BaseException as error:
            return self._undone(error)
        return None

    def _undone(self, error: BaseException) -> BaseException:
        """Roll back; where not even that goes, what comes next has a new connection."""
        tx = self._tx
        if tx is None:
            return Busy(f"the database cannot be opened: {error}")
        try:
            if tx.raw.in_transaction:
                tx.raw.execute("ROLLBACK")
        except sqlite3.Error:
            log.warning("the database's connection is given up", exc_info=True)
            self._tx = None
            with suppress(Exception):
                tx.connection.close()
        return Busy(str(error)) if tx.infrastructure(error) else error

    def read(self, function: Callable[[Connection], T]) -> T:
        with self._readers.connect() as connection:
            raw = cast(sqlite3.Connection, connection.connection.dbapi_connection)
            raw.execute("BEGIN")
            try:
                return function(connection)
            finally:
                raw.execute("ROLLBACK")

    def now(self, connection: Connection) -> int:
        return int(time.time() * 1000)

    def stuck(self) -> str | None:
        return self._watch.stuck()

    def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if self._thread:
            self._thread.join()
        self._writer.dispose()
        self._readers.dispose()
