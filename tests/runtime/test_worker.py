"""What a worker promises: one at a time by lease and fencing number, back after a failure, elsewhere after a death."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import AsyncExitStack

import psycopg
import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from foundry.contracts.messages import Address
from foundry.runtime.intervals import Pace
from foundry.runtime.reader import Reader
from foundry.runtime.runtime import House
from foundry.runtime.store.base import Fenced, Transaction
from foundry.runtime.worker.supervisor import PAUSE, Job, WorkerKind
from tests.runtime.toys import Ledger, Note, house, notes, running, texts
from tests.waiting import eventually

NEVER = 3600.0  # seconds
A = Ledger.at("a")
LEASE = "worker:Ledger:a"
QUIET = Pace(look=NEVER, renew=NEVER, term=NEVER)  # only what is told of happens


def wanted(reader: Reader) -> list[str]:
    """Ledgers whose last note is "work"."""
    last = {row.ledger: row.text for row in reader.all(select(notes).order_by(notes.c.number))}
    return [ledger for ledger, text in last.items() if text == "work"]


class Crew:
    """A worker that does what the test tells it."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.began: list[float] = []
        self.left = 0
        self.failures = 0

    async def run(self, job: Job) -> None:
        self.jobs.append(job)
        self.began.append(time.monotonic())
        try:
            if self.failures:
                self.failures -= 1
                raise OSError("no route")
            await asyncio.Event().wait()
        finally:
            self.left += 1

    def house(self) -> House:
        return house(workers=(WorkerKind("Ledger", wanted, self.run),))

    async def at_work(self, times: int = 1) -> Job:
        """Its so-manieth job."""
        await eventually(lambda: len(self.jobs), lambda n: n >= times, limit=20)
        return self.jobs[times - 1]


def leased(tx: Transaction) -> list[object]:
    return list(tx.execute("SELECT fencing, expires_at FROM leases WHERE name=?", LEASE)[0])


def steal(tx: Transaction) -> None:
    tx.execute("UPDATE leases SET holder='another', fencing=fencing+1, expires_at=? WHERE name=?", tx.now * 2, LEASE)


async def test_a_worker_runs_while_it_is_wanted_and_gives_its_lease_back(store_url: str) -> None:
    crew = Crew()
    async with running(store_url, crew.house(), pace=QUIET) as runtime:
        await runtime.ask(A, Note(text="work"))
        job = await crew.at_work()
        assert (job.address, job.fencing) == (A, 1)
        assert await job.ask(A, Note(author="worker", text="work")) == 1
        assert (crew.left, len(crew.jobs)) == (0, 1)
        await runtime.ask(A, Note(text="enough"))
        await eventually(lambda: crew.left, lambda n: n == 1)
        await eventually(lambda: runtime.system(A, leased), lambda lease: lease == [1, 0])
        await runtime.ask(A, Note(text="work"))
        assert (await crew.at_work(2)).fencing == 2


async def test_one_actor_can_have_several_workers_each_under_a_lease_of_its_own(store_url: str) -> None:
    first, second = Crew(), Crew()
    workers = (WorkerKind("Ledger", wanted, first.run), WorkerKind("Ledger", wanted, second.run, name="other"))
    async with running(store_url, house(workers=workers), pace=QUIET) as runtime:
        await runtime.ask(A, Note(text="work"))
        for crew in (first, second):
            assert await (await crew.at_work()).ask(A, Note(author="worker", text="work")) >= 1
        await runtime.system(A, steal)
        with pytest.raises(Fenced):
            await first.jobs[0].ask(A, Note(author="worker", text="late"))
        await second.jobs[0].ask(A, Note(author="worker", text="work"))


async def test_a_write_under_an_old_fencing_number_is_refused(store_url: str) -> None:
    crew = Crew()
    async with running(store_url, crew.house(), pace=QUIET) as runtime:
        await runtime.ask(A, Note(text="work"))
        job = await crew.at_work()
        await runtime.system(A, steal)
        with pytest.raises(Fenced):
            await job.ask(A, Note(author="worker", text="late"))
        assert await runtime.read(texts, "a") == [("edge", "work")]


async def test_who_has_lost_the_lease_stops_and_goes_on_when_it_is_free(store_url: str) -> None:
    crew = Crew()
    async with running(store_url, crew.house(), pace=Pace(renew=0.05)) as runtime:
        await runtime.ask(A, Note(text="work"))
        await crew.at_work()
        await runtime.system(A, steal)
        await eventually(lambda: crew.left, lambda n: n == 1)
        assert len(crew.jobs) == 1, "somebody else has it"
        await runtime.system(A, lambda tx: tx.execute("UPDATE leases SET expires_at=1"))
        assert (await crew.at_work(2)).fencing == 3


async def test_a_replica_that_falls_silent_is_succeeded_and_fenced_off(postgres_url: str) -> None:
    frozen, lively = Crew(), Crew()
    async with (
        running(postgres_url, frozen.house(), pace=Pace(term=1.0, renew=NEVER, look=NEVER)) as one,
        running(postgres_url, lively.house(), pace=Pace(term=1.0, renew=0.1, look=0.1)) as two,
    ):
        await one.ask(A, Note(text="work"))
        old = await frozen.at_work()
        new = await lively.at_work()
        assert (old.fencing, new.fencing) == (1, 2)
        await new.ask(A, Note(author="new", text="work"))
        with pytest.raises(Fenced):
            await old.ask(A, Note(author="old", text="work"))
        assert await two.read(texts, "a") == [("edge", "work"), ("new", "work")]


async def test_a_replica_that_stops_leaves_its_work_to_another_at_once(postgres_url: str) -> None:
    leaving, staying = Crew(), Crew()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(running(postgres_url, leaving.house(), pace=QUIET))
        await one.ask(A, Note(text="work"))
        await leaving.at_work()
        async with running(postgres_url, staying.house(), pace=Pace(term=NEVER, renew=0.1, look=0.1)):
            await stack.aclose()
            assert (await staying.at_work()).fencing == 2


async def test_a_worker_that_fails_is_tried_again_later_and_later(store_url: str) -> None:
    crew = Crew()
    crew.failures = 2
    async with running(store_url, crew.house(), pace=QUIET) as runtime:
        await runtime.ask(A, Note(text="work"))
        await crew.at_work(3)
        waits = [after - before for before, after in zip(crew.began, crew.began[1:], strict=False)]
        assert [wait >= pause for wait, pause in zip(waits, PAUSE, strict=False)] == [True, True]
        assert [job.fencing for job in crew.jobs] == [1, 2, 3], "each under a lease of its own"


async def test_a_lease_that_could_not_be_had_is_asked_for_again(store_url: str) -> None:
    """Otherwise a moment without the database would leave the session's stream unread for ever."""
    crew = Crew()
    async with running(store_url, crew.house(), pace=QUIET) as runtime:
        await runtime.system(A, lambda tx: tx.execute("ALTER TABLE leases RENAME TO away"))
        with capture_logs() as logs:
            await runtime.ask(A, Note(text="work"))
            await eventually(lambda: [line for line in logs if line["event"] == "worker failed"])
        assert crew.jobs == []
        await runtime.system(A, lambda tx: tx.execute("ALTER TABLE away RENAME TO leases"))
        await crew.at_work()


async def test_a_take_over_waits_for_the_write_under_way(postgres_url: str) -> None:
    """A write that has passed the check commits before anybody else holds the lease, not after."""
    crew = Crew()
    async with running(postgres_url, crew.house(), pace=QUIET) as one, running(postgres_url) as two:
        await one.ask(A, Note(text="work"))
        job = await crew.at_work()
        inside, go_on = threading.Event(), threading.Event()

        def write(tx: Transaction) -> None:
            tx.fence(LEASE, job.fencing)
            inside.set()
            assert go_on.wait(20)

        writing = asyncio.ensure_future(one.system(Address("Ledger", "a"), write))
        await eventually(inside.is_set)
        taking = asyncio.ensure_future(two.system(Address("Lease", LEASE), steal))
        try:
            await eventually(lambda: taking.done() or waiting_for_a_lock(postgres_url))
            assert not taking.done()
        finally:
            go_on.set()
            await asyncio.gather(writing, taking)


def waiting_for_a_lock(url: str) -> bool:
    query = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type='Lock' AND datname=current_database()"
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(query).fetchone() is not None
