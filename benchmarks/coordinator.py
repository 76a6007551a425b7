"""Organization hears of every change of every task: how many a second it takes, and whether their number matters."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from pathlib import Path

from sqlalchemy import insert, select
from tests.listening import listen
from tests.postgres import binaries, cluster, database
from tests.waiting import eventually
from tests.world.world import world

from benchmarks.filled import ORG, line, repository
from benchmarks.rows import Failed, Row, row, tried
from foundry.actors.organization.actor import Organization
from foundry.actors.organization.tables import organization_repositories, organization_tasks, organizations
from foundry.contracts import addresses
from foundry.contracts.ids import TaskId
from foundry.contracts.messages import Address
from foundry.contracts.task import TaskSeen, TaskSummary
from foundry.runtime.runtime import House, Runtime
from foundry.runtime.store.migrate import engine_of, migrate, open_store
from foundry.runtime.store.tables import actors, mailbox

MANY, FEW = 10_000, 100  # tasks in its index
MESSAGES = 2_000
ROUNDS = 2
AGENT_TURNS = 5
WARM = 300  # messages before the clock starts
HERE = addresses.organization(ORG)


def prepare(url: str, tasks: int) -> None:
    """An organization with so many tasks in its index, and messages about them that nobody has applied yet."""
    migrate(url)
    now = int(time.time() * 1000)
    lines = [line(number % 5_000, now).model_copy(update={"id": f"tsk_{number:026d}"}) for number in range(tasks)]
    refs = {ref.id: ref for ref in map(repository, range(tasks))}.values()
    mail = [_news(lines[number * 7 % tasks], number) for number in range(MESSAGES + WARM)]
    engine = engine_of(url)
    with engine.connect() as connection, connection.begin():
        connection.execute(
            insert(actors), {"actor": str(HERE), "kind": "Organization", "scope": ORG, "created_at": now}
        )
        named = {"login": "lumen-works", "name": "", "avatar_url": "", "active": True}
        connection.execute(insert(organizations), {"organization": ORG, **named})
        connection.execute(
            insert(organization_repositories),
            [
                {"organization": ORG, "repository": r.id, "full_name": r.full_name, "ref": r.model_dump_json()}
                for r in refs
            ],
        )
        connection.execute(insert(organization_tasks), [_listed(one) for one in lines])
        connection.execute(insert(mailbox), mail)
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("ANALYZE")  # as autovacuum has done long since where so much has grown
    engine.dispose()


def _listed(one: TaskSummary) -> dict[str, object]:
    at = int(one.created_at.timestamp() * 1000)
    return {
        "organization": ORG,
        "task": one.id,
        "repository": one.repository.id,
        "archived": False,
        "created_at": at,
        "changed_at": at,
        "summary": one.model_dump_json(),
    }


def _news(one: TaskSummary, number: int) -> dict[str, object]:
    """What the task would send: its agent has begun to work."""
    later = {"activity": "running", "changed_at": one.changed_at + timedelta(hours=1, milliseconds=number)}
    seen = TaskSeen(task=one.model_copy(update=later))
    sender = str(addresses.task(one.id))
    body = seen.model_dump_json()
    return {"receiver": str(HERE), "sender": sender, "seq": number, "word": "TaskSeen", "body": body, "sent_at": 1}


async def applied(url: str, tasks: int) -> float:
    """Messages a second, from its full mailbox to the index and its topic."""
    await asyncio.to_thread(prepare, url, tasks)
    runtime = Runtime(House((Organization(),), lambda scope: HERE), open_store(url))
    heard = 0
    began = 0.0
    done = asyncio.Event()

    def count(address: Address, events: object) -> None:
        nonlocal heard, began
        heard += address == HERE
        if heard == WARM:
            began = time.perf_counter()
        if heard == WARM + MESSAGES:
            done.set()

    listen(runtime, count)
    await runtime.start(None)  # type: ignore[arg-type]
    try:
        runtime.dispatcher.poke(HERE)
        await asyncio.wait_for(done.wait(), 60)
        return MESSAGES / (time.perf_counter() - began)
    finally:
        await runtime.stop()


async def heard_of_a_turn(url: str) -> float:
    """Messages that Organization gets for one turn of an agent, from the person's message to the saved work."""
    async with world(url) as tree:

        async def at_rest(task: TaskId) -> int:
            await tree.until(task, lambda found: found.phase == "running" and found.activity == "running")
            await eventually(lambda: bool(tree.outside.prompts))
            tree.outside.end_turn()
            await tree.until(task, lambda found: found.activity == "idle" and not found.saving)
            await eventually(lambda: tree.runtime.read(lambda r: r.first(select(mailbox.c.id)) is None))
            return await tree.runtime.read(lambda reader: reader.version(HERE))

        task = await tree.create()
        first = await at_rest(task)
        for number in range(AGENT_TURNS):
            session = (await tree.task(task)).active_session
            assert session
            await tree.send(session, f"And change {number}")
            last = await at_rest(task)
        return (last - first) / AGENT_TURNS


async def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as home:
        each = await tried(heard_of_a_turn(f"sqlite:///{Path(home)}/foundry.db"))
    with tempfile.TemporaryDirectory() as home:
        numbers = iter(range(2 * ROUNDS))
        rates = await tried(best(lambda: nullcontext(f"sqlite:///{Path(home)}/{next(numbers)}.db")))
    rows = [row("messages to an Organization for one turn of an agent", each, "messages"), _row("SQLite", rates)]
    if binaries() is not None:
        rows.append(_row("PostgreSQL", await tried(on_postgres())))
    return rows


async def on_postgres() -> dict[int, float]:
    with cluster() as server:
        return await best(lambda: database(server))


async def best(fresh: Callable[[], AbstractContextManager[str]]) -> dict[int, float]:
    """The better rate of each number of tasks, which take turns: what else the machine does hits both."""
    rates = dict.fromkeys((FEW, MANY), 0.0)
    for tasks in (FEW, MANY) * ROUNDS:
        with fresh() as url:
            rates[tasks] = max(rates[tasks], await applied(url, tasks))
    return rates


def _row(store: str, rates: dict[int, float] | Failed) -> Row:
    what = f"one Organization, updates of its {MANY:,} tasks, {store}"
    return row(what, rates[MANY], "messages/s", f"with {FEW} tasks", rates[FEW], ratio_least=0.7)
