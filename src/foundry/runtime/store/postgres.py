"""PostgreSQL: psycopg threads, the actor's row lock, any number of replicas.

Guarantee: a turn holds its actor's row (`FOR NO KEY UPDATE`) from its first statement to its commit and locks no
other actor's row, so turns of one actor never overlap on any replica and turns never deadlock. In one process at
most one thread works for one actor; what waits for it shares a transaction, each behind a savepoint. A frozen
replica lets go after `idle_in_transaction_session_timeout`. The clock is the database's.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import psycopg
import psycopg.errors
from psycopg import sql as psql
from psycopg.types.json import Jsonb
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url

from foundry.contracts.messages import Address
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

THREADS = 8  # works for that many actors at once in one process
READERS = 8  # connections for reading
OPTIONS = "-c lock_timeout=5s -c idle_in_transaction_session_timeout=10s -c timezone=UTC"

NOW = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"

OPEN = f"""
WITH a AS MATERIALIZED (SELECT * FROM actors WHERE actor = %s FOR NO KEY UPDATE)
SELECT a.scope, a.seq, a.version, a.deleted_at, a.shown, a.told, k.hash, k.answer, k.refusal, {NOW}
FROM (SELECT 1) one LEFT JOIN a ON true LEFT JOIN asks k ON k.key = %s
"""

MAIL = f"""
SELECT m.id, m.sender, m.seq, m.word, m.body, m.tries, m.sent_at FROM mailbox m
WHERE m.receiver = %s AND m.set_aside_at IS NULL AND NOT EXISTS (
  SELECT 1 FROM mailbox e WHERE e.receiver = m.receiver AND e.sender = m.sender AND e.seq <= m.seq
  AND e.set_aside_at IS NULL AND e.next_try_at > 0 AND e.next_try_at > {NOW})
ORDER BY m.id LIMIT %s
"""

CLAIM = """
DELETE FROM mailbox m WHERE m.id = %s AND NOT EXISTS (
  SELECT 1 FROM mailbox e WHERE e.receiver = %s AND e.sender = m.sender AND e.seq < m.seq AND e.set_aside_at IS NULL)
"""

CLOSE = """
WITH effects AS (SELECT %(effects)s::jsonb AS j, %(actor)s::text AS actor, %(now)s::bigint AS now),
mail AS (
  INSERT INTO mailbox (receiver, seq, word, body, sender, sent_at)
  SELECT m->>0, (m->>1)::bigint, m->>2, m->>3, actor, now
  FROM effects, jsonb_array_elements(j->'mail') WITH ORDINALITY AS t(m, i) ORDER BY i),
published AS (
  INSERT INTO events (version, word, entity, body, repository, person, actor, at)
  SELECT (e->>0)::bigint, e->>1, e->>2, e->>3, e->>4, e->>5, actor, now
  FROM effects, jsonb_array_elements(j->'events') AS e),
started AS (
  INSERT INTO workflows (id, name, scope, job, release, owner, started_at)
  SELECT s->>0, s->>1, s->>2, s->>3, s->>4, actor, now FROM effects, jsonb_array_elements(j->'starts') AS s),
asked AS (
  INSERT INTO asks (key, hash, answer, refusal, workflow, created_at)
  SELECT a->>0, a->>1, a->>2, a->>3, a->>4, now FROM effects, jsonb_array_elements(j->'ask') AS a)
UPDATE actors SET seq = %(seq)s, version = %(version)s,
  shown = coalesce(%(shown)s, actors.shown), told = coalesce(%(told)s, actors.told)
FROM effects WHERE actors.actor = effects.actor
"""


AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,  # its class is InternalError: a process that was frozen in a turn
)


class PostgresTransaction:
    """The runtime's rows, in PostgreSQL's words."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.raw = cast("psycopg.Connection[tuple[Any, ...]]", connection.connection.driver_connection)
        self.now = 0
        self.alone = False

    @contextmanager
    def savepoint(self) -> Generator[None]:
        if self.alone:  # one work, one turn: the transaction itself is the savepoint
            try:
                yield
            except BaseException:
                self.raw.rollback()
                raise
            return
        self.raw.execute("SAVEPOINT turn")
        try:
            yield
        except BaseException:
            if not self.raw.closed:
                self.raw.execute("ROLLBACK TO turn")
                self.raw.execute("RELEASE turn")
            raise
        self.raw.execute("RELEASE turn")

    def open(self, actor: str, ask: str | None = None) -> Opened:
        row = self.raw.execute(OPEN, (actor, ask)).fetchone()
        assert row is not None
        scope, seq, version, deleted_at, shown, told, hash_, answer, refusal, self.now = row
        stored = None if hash_ is None else StoredAsk(hash_, answer, refusal)
        if scope is None:
            return Opened(False, False, "", 0, 0, stored)
        return Opened(True, deleted_at is not None, scope, seq, version, stored, shown, told)

    def close(self, actor: str, opened: Opened, effects: Effects) -> None:
        seq, version = opened.seq + len(effects.mail), opened.version + len(effects.events)
        if effects.birth:
            self.raw.execute(
                "INSERT INTO actors (actor, kind, parent, scope, created_at) VALUES (%s,%s,%s,%s,%s)",
                (actor, *effects.birth, self.now),
            )
        if effects.deleted:
            self.raw.execute("UPDATE actors SET deleted_at=%s WHERE actor=%s", (self.now, actor))
            self.raw.execute("DELETE FROM schedules WHERE actor=%s", (actor,))
        if effects.compacted:
            self.raw.execute("DELETE FROM events WHERE actor=%s AND entity=ANY(%s)", (actor, effects.compacted))
        if effects.cancels:
            self.raw.execute(
                "UPDATE workflows SET generation=generation+1, cancelled=1 WHERE owner=%s AND id=ANY(%s)",
                (actor, effects.cancels),
            )
        for name, due in effects.schedules.items():
            if due is None:
                self.raw.execute("DELETE FROM schedules WHERE actor=%s AND name=%s", (actor, name))
            else:
                self.raw.execute(
                    "INSERT INTO schedules (actor, name, due_at, generation) VALUES (%s,%s,%s,1)"
                    " ON CONFLICT (actor, name)"
                    " DO UPDATE SET due_at=excluded.due_at, generation=schedules.generation+1",
                    (actor, name, due),
                )
        if effects.mail or effects.events or effects.starts or effects.ask or effects.shown or effects.told:
            rows = {
                "mail": effects.mail,
                "events": effects.events,
                "starts": effects.starts,
                "ask": [effects.ask] if effects.ask else [],
            }
            self.raw.execute(
                CLOSE,
                {
                    "effects": Jsonb(rows),
                    "actor": actor,
                    "now": self.now,
                    "seq": seq,
                    "version": version,
                    "shown": effects.shown,
                    "told": effects.told,
                },
            )

    def mail(self, actor: str, limit: int) -> Sequence[Mail]:
        return [Mail(*row) for row in self.raw.execute(MAIL, (actor, limit))]

    def claim(self, actor: str, mail: Mail) -> bool:
        return self.raw.execute(CLAIM, (mail.id, actor)).rowcount == 1

    def mail_failed(self, mail: Mail, error: str, next_try_at: int, *, set_aside: bool) -> None:
        self.raw.execute(
            "UPDATE mailbox SET tries=tries+1, error=%s, next_try_at=%s, set_aside_at=%s WHERE id=%s",
            (error, next_try_at, self.now if set_aside else None, mail.id),
        )

    def dropped(self, actor: str) -> None:
        self.raw.execute("UPDATE actors SET dropped=dropped+1 WHERE actor=%s", (actor,))

    def fence(self, lease: str, fencing: int) -> None:
        # Held to the commit: whoever takes the lease over waits for this write, and none comes after.
        row = self.raw.execute("SELECT fencing FROM leases WHERE name=%s FOR SHARE", (lease,)).fetchone()
        if row is None or row[0] != fencing:
            raise Fenced(f"lease {lease} is no longer held with number {fencing}")

    def infrastructure(self, error: BaseException) -> bool:
        return _away(error)

    def conflict(self, error: BaseException) -> bool:
        return isinstance(getattr(error, "orig", error), psycopg.errors.UniqueViolation)

    def execute(self, sql: str, *values: object) -> Sequence[Sequence[object]]:
        cursor = self.raw.execute(psql.SQL(sql.replace("%", "%%").replace("?", "%s")), values)  # pyright: ignore[reportArgumentType]
        return cursor.fetchall() if cursor.description else []


def _away(error: BaseException) -> bool:
    cause = getattr(error, "orig", error)  # SQLAlchemy wraps the driver's
    return isinstance(cause, AWAY)


def postgres_engine(url: str, size: int, *, read_only: bool = False) -> Engine:
    """An engine on psycopg 3 for a `postgresql://` URL, however its driver is spelt."""
    return create_engine(
        make_url(url).set(drivername="postgresql+psycopg"),
        pool_size=size,
        max_overflow=0,
        pool_pre_ping=read_only,
        isolation_level="REPEATABLE READ" if read_only else "READ COMMITTED",
        connect_args={"options": OPTIONS + (" -c default_transaction_read_only=on" if read_only else "")},
    )


class PostgresStore:
    """The threads that work for actors, and the readers' connections."""

    dialect = "postgresql"

    def __init__(self, url: str, *, threads: int = THREADS) -> None:
        self.url = url
        self._engine = postgres_engine(url, threads)
        self._readers = postgres_engine(url, READERS, read_only=True)
        self._waiting: dict[Address, deque[Work]] = {}
        self._ready: deque[Address] = deque()  # actors that have works and no thread
        self._wake = threading.Condition()
        self._closing = False
        self._watch = Watch()
        self._count = threads
        self._threads: list[threading.Thread] = []
        self._settled: Callable[[Sequence[Work], BaseException | None], None] = lambda works, error: None

    def start(self, settled: Callable[[Sequence[Work], BaseException | None], None]) -> None:
        self._settled = settled
        for number in range(self._count):
            thread = threading.Thread(target=self._work, name=f"foundry-turns-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def submit(self, work: Work) -> None:
        with self._wake:
            if self._closing:
                raise Busy("the store is shutting down")
            queue = self._waiting.get(work.address)
            if queue is None:
                self._waiting[work.address] = deque((work,))
                self._ready.append(work.address)
                self._wake.notify()
            else:
                queue.append(work)

    def _take(self) -> tuple[Address, list[Work]] | None:
        with self._wake:
            while not self._ready:
                if self._closing:
                    return None
                self._wake.wait()
            address = self._ready.popleft()
            queue = self._waiting[address]
            return address, [queue.popleft() for _ in range(min(BATCH, len(queue)))]

    def _release(self, address: Address) -> None:
        with self._wake:
            if self._waiting[address]:
                self._ready.append(address)
                self._wake.notify()
            else:
                del self._waiting[address]

    def _work(self) -> None:
        while taken := self._take():
            address, batch = taken
            error = self._batch(batch)
            self._settled(batch, error)  # before another thread may commit for the actor, so in the order of commits
            self._release(address)

    def _batch(self, batch: list[Work]) -> BaseException | None:
        try:
            with self._engine.connect() as connection:
                tx = PostgresTransaction(connection)
                shared: Transaction = tx
                tx.alone = len(batch) == 1 and batch[0].single
                try:
                    for work in batch:
                        with self._watch.doing(work):
                            work.run(shared)
                    tx.raw.commit()
                except BaseException as error:
                    if tx.raw.closed or isinstance(getattr(error, "orig", error), psycopg.OperationalError):
                        connection.invalidate()
                    else:
                        tx.raw.rollback()
                    return Busy(str(error)) if tx.infrastructure(error) else error
        except BaseException as error:  # no connection to be had
            return Busy(str(error))
        return None

    def read(self, function: Callable[[Connection], T]) -> T:
        try:
            with self._readers.connect() as connection:
                return function(connection)
        except Exception as error:
            if _away(error):
                raise Busy(str(error)) from error
            raise

    def now(self, connection: Connection) -> int:
        return int(connection.exec_driver_sql(f"SELECT {NOW}").scalar_one())

    def stuck(self) -> str | None:
        return self._watch.stuck()

    def close(self) -> None:
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()
        self._engine.dispose()
        self._readers.dispose()
