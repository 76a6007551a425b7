"""The runtime on SQLite beside raw sqlite3, and on PostgreSQL beside pgbench, doing the same writes."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import select
from tests.listening import listen
from tests.postgres import binaries, cluster, database

from benchmarks.house import Count, Counter, Create, Sink, house
from benchmarks.rows import Failed, Row, row, tried
from foundry.contracts.messages import Address
from foundry.runtime.runtime import Runtime
from foundry.runtime.store.migrate import engine_of, open_store
from foundry.runtime.store.tables import mailbox, metadata

ACTORS = 200
ALONE = 600  # turns one after the other
TOGETHER = 6_000  # turns, 64 at once
AT_ONCE = 64

RAW = (
    "SELECT a.scope, a.seq, a.version, a.deleted_at, k.hash FROM (SELECT 1) LEFT JOIN actors a ON a.actor=?"
    " LEFT JOIN asks k ON k.key=?",
    "SELECT * FROM bench_counters WHERE counter=?",
    "UPDATE bench_counters SET count=count+1, text=? WHERE counter=?",
    "UPDATE actors SET seq=seq+1, version=version+1 WHERE actor=?",
    "INSERT INTO mailbox (receiver, seq, word, body, sender, sent_at) VALUES ('Sink:raw',?,'Counted',?,?,?)",
    "INSERT INTO events (version, word, entity, body, actor, at) VALUES (?,'Changed',?,?,?,?)",
    "INSERT INTO asks (key, hash, answer, created_at) VALUES (?,?,?,?)",
)

PGBENCH = r"""
\set n random(0, 199)
\set k random(1, 1000000000000)
BEGIN;
SELECT a.scope, a.seq, a.version, k.hash FROM actors a LEFT JOIN asks k ON k.key='' || :k
  WHERE a.actor='Counter:' || :n FOR NO KEY UPDATE OF a;
SELECT * FROM bench_counters WHERE counter='' || :n;
UPDATE bench_counters SET count=count+1, text='x' WHERE counter='' || :n;
WITH m AS (INSERT INTO mailbox (receiver, seq, word, body, sender, sent_at)
    SELECT 'Raw:raw', :k, 'Counted', '{"count":1}', 'Counter:' || :n, 1),
  e AS (INSERT INTO events (version, word, entity, body, actor, at)
    SELECT :k, 'Changed', '' || :n, '{"count":1,"text":"x"}', 'Raw:' || :n, 1),
  q AS (INSERT INTO asks (key, hash, answer, created_at) SELECT '' || :k, 'h', '1', 1)
  UPDATE actors SET seq=seq+1, version=version+1 WHERE actor='Counter:' || :n;
COMMIT;
"""


@asynccontextmanager
async def running(url: str) -> AsyncIterator[Runtime]:
    """A runtime with `ACTORS` counters."""
    engine = engine_of(url)
    metadata.create_all(engine)
    engine.dispose()
    runtime = Runtime(house(), open_store(url))
    await runtime.start(None)  # type: ignore[arg-type]
    await runtime.ask(Sink.at("sink"), Create())
    await asyncio.gather(*(runtime.ask(Counter.at(str(n)), Create()) for n in range(ACTORS)))
    yield runtime
    await runtime.stop()


async def alone(runtime: Runtime) -> float:
    """Milliseconds of one turn with nothing beside it, the median: its message is applied before the next begins."""
    took: list[float] = []
    applied = heard(runtime)
    for number in range(ALONE):
        began = time.perf_counter()
        await runtime.ask(Counter.at(str(number % ACTORS)), Count(text="x" * 40), key=f"alone-{number}")
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.wait_for(applied.get(), 5)
    return statistics.median(took)


def heard(runtime: Runtime) -> asyncio.Queue[float]:
    """When the sink has applied a message, from now on."""
    sink = Sink.at("sink")
    found: asyncio.Queue[float] = asyncio.Queue()

    def at_the_sink(address: Address, events: object) -> None:
        if address == sink:
            found.put_nowait(time.perf_counter())

    listen(runtime, at_the_sink)
    return found


async def together(runtime: Runtime) -> float:
    """Turns a second with 64 callers over all counters; each counter's own order is checked."""
    last: dict[str, int] = {}

    async def caller(number: int) -> None:
        for turn in range(TOGETHER // AT_ONCE):
            key = str((number * 7 + turn) % ACTORS)
            count = await runtime.ask(Counter.at(key), Count(text="y" * 40), key=f"t-{number}-{turn}")
            assert count > last.get(key, 0) or last[key] > count, "two turns got one number"
            last[key] = count

    began = time.perf_counter()
    await asyncio.gather(*(caller(number) for number in range(AT_ONCE)))
    return TOGETHER / (time.perf_counter() - began)


async def message(runtime: Runtime) -> float:
    """Milliseconds from a turn's commit to its message applied at another actor, the median."""
    took: list[float] = []
    while await runtime.read(lambda r: r.first(select(mailbox.c.id))):  # noqa: ASYNC110 (older ones are applied first)
        await asyncio.sleep(0.1)
    await asyncio.sleep(0.2)
    applied = heard(runtime)
    for number in range(300):
        await runtime.ask(Counter.at(str(number % ACTORS)), Count(text="m"))
        committed = time.perf_counter()
        took.append(max(0.0, (await asyncio.wait_for(applied.get(), 5) - committed) * 1000))
    return statistics.median(took)


def raw_sqlite(path: Path) -> tuple[float, float]:
    """The same writes by sqlite3 itself, one commit each: milliseconds alone, and turns a second."""
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-16000"):
        db.execute(f"PRAGMA {pragma}")

    def turn(number: int) -> None:
        key, actor = str(number % ACTORS), f"Counter:{number % ACTORS}"
        db.execute("BEGIN IMMEDIATE")
        db.execute(RAW[0], (actor, f"raw-{number}")).fetchone()
        db.execute(RAW[1], (key,)).fetchone()
        db.execute(RAW[2], ("x" * 40, key))
        db.execute(RAW[3], (actor,))
        db.execute(RAW[4], (number + 10_000_000, '{"count":1}', actor, 1))
        db.execute(RAW[5], (number + 10_000_000, key, '{"count":1,"text":"x"}', actor, 1))
        db.execute(RAW[6], (f"raw-{number}", "h" * 64, "1", 1))
        db.execute("COMMIT")

    took: list[float] = []
    for number in range(ALONE):
        began = time.perf_counter()
        turn(number)
        took.append((time.perf_counter() - began) * 1000)
    began = time.perf_counter()
    for number in range(ALONE, ALONE + TOGETHER // 2):
        turn(number)
    return statistics.median(took), (TOGETHER // 2) / (time.perf_counter() - began)


def pgbench(url: str, clients: int, seconds: int = 4) -> tuple[float, float]:
    """What pgbench makes of nearly the same statements: milliseconds on average, and turns a second."""
    where = binaries()
    assert where
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(PGBENCH)
        script.flush()
        done = subprocess.run(
            [str(where / "pgbench"), "-n", "-M", "simple", "-c", str(clients), "-j", "2", "-T", str(seconds),
             "-f", script.name, url],
            capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    latency = re.search(r"latency average = ([\d.]+) ms", done.stdout)
    rate = re.search(r"tps = ([\d.]+)", done.stdout)
    assert latency
    assert rate
    return float(latency[1]), float(rate[1])


Found = tuple[float | Failed, float | Failed, float | Failed]


async def turns(url: str) -> Found:
    """Return milliseconds per turn alone, turns per second with 64 at once, and milliseconds per message."""
    async with running(url) as runtime:
        return await tried(alone(runtime)), await tried(together(runtime)), await tried(message(runtime))


async def on_sqlite() -> list[Row]:
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "foundry.db"
        found = await tried(turns(f"sqlite:///{path}"))
        raw = await tried(asyncio.to_thread(raw_sqlite, path))
    return [
        row(
            "one turn alone, SQLite, p50", found[0], "ms", "raw sqlite3, same writes", raw[0], most=1.0, ratio_most=3.0
        ),
        row(
            "64 at once over 200 actors, SQLite",
            found[1],
            "turns/s",
            "raw sqlite3, one commit each",
            raw[1],
            ratio_least=1.2,
        ),
        row("message, committed to applied, SQLite, p50", found[2], "ms", most=3.0),
    ]


async def on_postgres() -> list[Row]:
    found = await tried(with_pgbench())
    mine, one, many = found[0], found[1], found[2]
    clients = "pgbench, 8 clients"
    return [
        row("one turn alone, PostgreSQL, p50", mine[0], "ms", "pgbench, 1 client, mean", one[0], most=2.5),
        row("64 at once over 200 actors, PostgreSQL", mine[1], "turns/s", clients, many[1], ratio_least=0.4),
        row("message, committed to applied, PostgreSQL, p50", mine[2], "ms", most=3.0),
    ]


async def with_pgbench() -> tuple[Found | Failed, tuple[float, float] | Failed, tuple[float, float] | Failed]:
    """Measure Foundry, pgbench with one client, and pgbench with eight, on one server."""
    with cluster() as server, database(server) as url:
        mine = await tried(turns(url))
        one = await tried(asyncio.to_thread(pgbench, url, 1))
        return mine, one, await tried(asyncio.to_thread(pgbench, url, 8))


async def measure() -> list[Row]:
    rows = await on_sqlite()
    if binaries() is None:
        print("PostgreSQL's binaries are not on this machine: its rows are left out")
        return rows
    return rows + await on_postgres()
