"""Three replicas on PostgreSQL: one ends in the middle of its work, killed or in order; nobody hears the others."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from foundry.app import STOP_LIMIT
from tests.harness.fleet import LIMIT, Fleet, fleet, measured
from tests.harness.life import folder, saved, script
from tests.harness.replicas import Replica
from tests.harness.soak.ground import signal_all
from tests.postgres import database
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

WORKFLOW_MOVES = 20.0  # seconds after a kill -9
LEASE_MOVES = 15.0  # seconds after a kill -9
STOPS = 10.0  # seconds from SIGTERM to the end of the process
SWEEP = 1.0  # seconds; Pace.sweep
MARGIN = 1.0  # seconds for the rest of the way, on 2 busy cores
MOVES_AT_ONCE = 6.0  # seconds after a stop in order, for workflow and lease


@pytest.fixture(scope="module")
def url(postgres_server: str) -> Iterator[str]:
    with database(postgres_server) as found:
        yield found


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory, sandbox_agent_cache: Path, url: str) -> Iterator[Fleet]:
    held = {("provision", "cloning", "do")}
    with fleet(tmp_path_factory.mktemp("fleet"), sandbox_agent_cache, url, ("one", "two", "three"), held) as found:
        yield found


class Talk(NamedTuple):
    task: str
    session: str
    follower: Replica


async def talking(three: Fleet, chunks: int) -> Talk:
    """An agent in the middle of its answer, and who follows it."""
    async with three.ada() as ada:
        task = await ada.create(script(f"stream {chunks} 10 20"))
        found = await ada.until(task, lambda t: t["active_session"], LIMIT)
        session = found["active_session"]
        await ada.see(f"/api/sessions/{session}", lambda s: "[50]" in said(s), LIMIT)
        executors = await three.executors()
        return Talk(task, session, executors[await three.follower(session, three.replicas[0])])


def said(snapshot: dict[str, Any]) -> str:
    return "".join(entry["text"] for entry in snapshot["transcript"] if entry["kind"] == "agent")


def agent_said(three: Fleet, sandbox: str) -> str:
    """Everything the scripted agent sent as its words, from its own log."""
    (log,) = folder(three.data, sandbox).glob("home/.scripted-agent/*.jsonl")
    updates = (json.loads(line).get("update") for line in log.read_text().splitlines())
    return "".join(u["content"]["text"] for u in updates if u and u["sessionUpdate"] == "agent_message_chunk")


async def nothing_is_missing_or_doubled(three: Fleet, talk: Talk, chunks: int) -> None:
    async with three.ada() as ada:
        seen = await ada.see(f"/api/sessions/{talk.session}", lambda s: s["session"]["status"] == "idle", LIMIT)
        task = await ada.until(talk.task, lambda t: True)
    assert [entry["kind"] for entry in seen["transcript"]] == ["user", "agent", "stop"]
    assert said(seen) == agent_said(three, task["sandbox"])
    assert all(said(seen).count(f"[{n}]") == 1 for n in range(1, chunks + 1))


async def follows_elsewhere(three: Fleet, talk: Talk, since: float) -> float:
    """The seconds until another one had the lease."""
    ask = three.others(talk.follower)[0]
    gone = set((await three.executors()).keys())
    await eventually(lambda: three.follower(talk.session, ask), lambda holder: holder in gone, limit=LIMIT)
    return time.time() - since


async def ready(three: Fleet, task: str) -> None:
    async with three.ada() as ada:
        await ada.until(task, lambda t: t["state"] == "ready", LIMIT)


async def test_what_a_killed_replica_did_goes_on_elsewhere(three: Fleet) -> None:
    chunks = 1500
    three.up()
    talk = await talking(three, chunks)
    task, workflow = await three.provisioning_on(talk.follower)
    talk.follower.kill()
    killed = time.time()
    three.gate.unlink()
    assert measured("the lease moves after", await follows_elsewhere(three, talk, killed)) < LEASE_MOVES
    began = await eventually(lambda: three.journal("began", *three.others(talk.follower), id=workflow), limit=LIMIT)
    assert began[0].step == "cloning", "not where it was"
    assert measured("the workflow goes on after", began[0].at - killed) < WORKFLOW_MOVES
    await ready(three, task)
    await nothing_is_missing_or_doubled(three, talk, chunks)


@pytest.mark.long
async def test_what_a_stopped_replica_did_goes_on_elsewhere_at_once_and_no_crash_is_counted(three: Fleet) -> None:
    chunks = 800
    three.up()
    talk = await talking(three, chunks)
    task, workflow = await three.provisioning_on(talk.follower)
    async with watching(three, talk.follower, talk.session):
        await asyncio.to_thread(talk.follower.stop, STOPS)
    stopped = time.time()
    assert measured("the lease moves after", await follows_elsewhere(three, talk, stopped)) < MOVES_AT_ONCE
    began = await eventually(lambda: three.journal("began", *three.others(talk.follower), id=workflow), limit=LIMIT)
    assert measured("the workflow goes on after", began[0].at - stopped) < MOVES_AT_ONCE
    found = await three.provisioning(task, three.others(talk.follower)[0])
    assert found
    assert (found["generation"], found["crashes"]) == (1, 0)
    three.gate.unlink()
    await ready(three, task)
    await nothing_is_missing_or_doubled(three, talk, chunks)


@contextmanager
def deaf(url: str) -> Iterator[None]:
    """What is notified reaches nobody: PostgreSQL's side of each listening connection stands still."""
    pids = listeners(url)
    assert len(pids) == 3
    signal_all(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        signal_all(pids, signal.SIGCONT)


def listeners(url: str, *, cut: bool = False) -> list[int]:
    """The pids of the listening connections' servers; `cut`: they are ended."""
    found = "FROM pg_stat_activity WHERE application_name = 'foundry listener' AND datname = current_database()"
    with psycopg.connect(url, autocommit=True) as admin:
        query = f"SELECT pid{', pg_terminate_backend(pid)' if cut else ''} {found}"
        return [row[0] for row in admin.execute(query.encode()).fetchall()]


@pytest.mark.long
async def test_a_stop_ends_in_bounded_time_even_if_the_database_stands_still(three: Fleet, url: str) -> None:
    three.up()
    with psycopg.connect(url, autocommit=True) as admin:
        backends = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        pids = [row[0] for row in admin.execute(backends).fetchall()]
    signal_all(pids, signal.SIGSTOP)
    try:
        await asyncio.to_thread(three.replicas[2].stop, STOP_LIMIT + MARGIN)
    finally:
        signal_all(pids, signal.SIGCONT)
    await eventually(lambda: three.holds(three.replicas[0]), limit=LIMIT)


@pytest.mark.long
async def test_without_notices_and_cut_off_nothing_is_late_by_more_than_the_sweep(three: Fleet, url: str) -> None:
    three.up()
    here, there = three.replicas[:2]
    async with three.ada(here) as ada:
        task = await ada.create(script("say Here."))
        session = (await ada.until(task, saved, LIMIT))["active_session"]
        async with watching(three, there, session) as heard:

            async def late(words: str) -> float:
                """Seconds until what is written at one replica is seen at the other."""
                began = time.monotonic()
                await ada.request("PUT", f"/api/sessions/{session}/draft", {"text": words})
                await eventually(lambda: any(words in line for line in heard), limit=LIMIT)
                return measured(words, time.monotonic() - began)

            await late("first")
            with deaf(url):
                assert max([await late(f"unheard {n}") for n in range(4)]) < SWEEP + MARGIN
            await late("all of it is heard at last")
            for number in range(4):
                listeners(url, cut=True)
                assert await late(f"cut {number}") < SWEEP + MARGIN


@asynccontextmanager
async def watching(three: Fleet, replica: Replica, session: str) -> AsyncIterator[list[str]]:
    """The lines of the session's topic as this replica streams them, from the snapshot on."""
    lines: list[str] = []

    async def read() -> None:
        path = f"{replica.url}/api/realtime?topic=session&id={session}"
        async with three.ada(replica) as ada, ada._http.stream("GET", path, timeout=LIMIT) as answer:
            async for line in answer.aiter_lines():
                lines.append(line)

    reading = asyncio.create_task(read())
    try:
        await eventually(lambda: lines, limit=LIMIT)
        yield lines
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
