"""What a workflow promises: steps in order, each recorded once, failures reported, nothing run twice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from foundry.contracts.errors import FoundryError, WrongState
from foundry.contracts.messages import Address, Model
from foundry.runtime.actor import RegistrationError
from foundry.runtime.intervals import Pace
from foundry.runtime.reader import Reader
from foundry.runtime.runtime import Runtime
from foundry.runtime.store.tables import leases
from foundry.runtime.topic import Published
from foundry.runtime.transactions import SystemWork
from foundry.runtime.workflow.flow import Flow, Scope, Workflows, workflow
from foundry.runtime.workflow.recovery import CRASHES, Recovery
from foundry.runtime.workflow.workflow_rows import Started, start_rows
from tests.listening import listen
from tests.runtime.toys import Begin, Halt, Job, Ledger, Note, all_failures, house, running, texts
from tests.waiting import eventually

pytestmark = pytest.mark.slow


class Point(Model):
    x: int
    tags: tuple[str, ...] = ()


class World:
    """The outside of these tests: it counts what is done to it and fails on request."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.fail: dict[str, list[Exception]] = {}
        self.hold = asyncio.Event()
        self.hold.set()

    async def act(self, what: str) -> Point:
        self.done[what] += 1
        if self.fail.get(what):
            raise self.fail[what].pop(0)
        await self.hold.wait()
        return Point(x=len(what), tags=(what,))


STEPS = ("first", "second", "third")


@workflow(owner="Ledger", scope=Scope.APP, steps=STEPS)
async def walk(flow: Flow, job: Job) -> None:
    world: World = flow.doors  # type: ignore[assignment]
    point = await flow.do("first", world.act, "one", backoff=(0.01,))
    assert isinstance(point, Point)
    assert point.tags == ("one",)
    await flow.ask("second", flow.owner, Note(author="walk", text=f"{job.text} {point.x}"))
    await flow.do("third", world.act, "two", backoff=(0.01,))
    await flow.ask("third", flow.owner, Note(author="walk", text="over"))


def walking() -> Workflows:
    return Workflows().add(walk)


async def walked(runtime: object, text: str) -> object:
    return await eventually(
        lambda: runtime.read(texts, "a"),  # type: ignore[attr-defined]
        lambda notes: ("walk", text) in notes,
        limit=20,
    )


async def test_steps_run_in_order_and_once(store_url: str) -> None:
    world = World()
    async with running(store_url, house(walking()), world) as runtime:
        await runtime.ask(Ledger.at("a"), Begin(workflow="walk", text="hello"))
        assert await walked(runtime, "over") == [("walk", "hello 3"), ("walk", "over")]
        assert world.done == {"one": 1, "two": 1}


async def test_a_failing_attempt_is_reported_and_tried_again(store_url: str) -> None:
    world = World()
    world.fail = {"one": [OSError("no route"), OSError("no route")]}
    async with running(store_url, house(walking()), world) as runtime:
        await runtime.ask(Ledger.at("a"), Begin(workflow="walk"))
        notes = await walked(runtime, "over")
        assert [n for a, n in notes if a == "workflow"] == [  # type: ignore[attr-defined]
            "first:1:again:OSError: no route",
            "first:2:again:OSError: no route",
            "recovered:walk",
        ], "the owner hears of both, the failure and its end"
        assert await runtime.read(all_failures) == [], "what works again is no issue any more"


async def test_the_last_failure_is_final(store_url: str) -> None:
    world = World()
    world.fail = {"two": [OSError("gone")] * 9}
    async with running(store_url, house(walking()), world) as runtime:
        await runtime.ask(Ledger.at("a"), Begin(workflow="walk"))
        await eventually(
            lambda: runtime.read(texts, "a"),
            lambda notes: any(n.startswith("third:5:final") for _, n in notes),
            limit=20,
        )
        assert world.done["two"] == 5
        issues = await eventually(lambda: runtime.read(all_failures), lambda t: len(t) == 5)
        assert '"retry_at":null' in issues[-1]


class Refused(FoundryError, code="test_refused", status=409): ...


async def test_a_refusal_is_not_tried_again(store_url: str) -> None:
    world = World()
    world.fail = {"one": [WrongState("never")]}
    async with running(store_url, house(walking()), world) as runtime:
        await runtime.ask(Ledger.at("a"), Begin(workflow="walk"))
        await eventually(
            lambda: runtime.read(texts, "a"), lambda n: n == [("workflow", "first:1:final:never")], limit=20
        )
        assert world.done == {"one": 1}


async def test_a_restart_goes_on_where_it_was(store_url: str) -> None:
    world = World()
    async with running(store_url, house(walking()), world) as runtime:
        await runtime.ask(Ledger.at("a"), Begin(workflow="walk", text="x"))
        await walked(runtime, "over")
        world.hold.clear()
        await runtime.ask(Ledger.at("b"), Begin(workflow="walk", text="y"))
        await eventually(lambda: world.done["one"], lambda n: n == 2)
    world.hold.set()
    async with running(store_url, house(walking()), world) as runtime:
        went_on = [("workflow", "recovered:walk"), ("walk", "y 3"), ("walk", "over")]
        await eventually(lambda: runtime.read(texts, "b"), lambda n: n == went_on, limit=30)
        assert world.done == {"one": 3, "two": 2}, "only the step in flight ran again"
        assert await runtime.read(texts, "a") == [("walk", "x 3"), ("walk", "over")]


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes end without a word."""

    async def says_nothing(recovery: Recovery, running: list[Started]) -> None: ...

    monkeypatch.setattr(Recovery, "put_down", says_nothing)


class TwoHolds(World):
    """Each of its two actions waits at a hold of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.holds = {"one": asyncio.Event(), "two": asyncio.Event()}

    async def act(self, what: str) -> Point:
        point = await super().act(what)
        await self.holds[what].wait()
        return point


@pytest.mark.usefixtures("dying")
async def test_only_crashes_without_progress_between_them_are_counted(tmp_path: Path) -> None:
    world, url = TwoHolds(), f"sqlite:///{tmp_path}/foundry.db"
    async with running(url, house(walking()), world) as runtime:
        await runtime.ask(Ledger.at("a"), Begin(workflow="walk", text="x"))
        await eventually(lambda: world.done["one"], lambda n: n == 1)
    for step in ("one", "two"):
        for _ in range(CRASHES - 1):
            before = world.done[step]
            async with running(url, house(walking()), world) as runtime:
                await eventually(lambda step=step: world.done[step], lambda n, before=before: n == before + 1)
        world.holds[step].set()
        async with running(url, house(walking()), world) as runtime:
            if step == "one":
                await eventually(lambda: world.done["one"], lambda n: n == CRASHES + 1)
                await eventually(lambda: world.done["two"], lambda n: n == 1)
            else:
                await walked(runtime, "over")
                assert await runtime.read(all_failures) == []


@pytest.mark.usefixtures("dying")
async def test_a_process_that_dies_in_one_step_again_and_again_is_said(tmp_path: Path) -> None:
    world, url = World(), f"sqlite:///{tmp_path}/foundry.db"
    world.hold.clear()
    async with running(url, house(walking()), world) as runtime:
        await runtime.ask(Ledger.at("a"), Begin(workflow="walk", text="x"))
        await eventually(lambda: world.done["one"], lambda n: n == 1)
    for crash in range(CRASHES):
        async with running(url, house(walking()), world) as runtime:
            await eventually(lambda: world.done["one"], lambda n, crash=crash: n == crash + 2)
    async with running(url, house(walking()), world) as runtime:
        (issue,) = await eventually(lambda: runtime.read(all_failures))
        assert "workflow_crashed" in issue
        assert world.done["one"] == CRASHES + 1, "it is not begun again"


async def test_a_stop_in_order_is_no_crash(tmp_path: Path) -> None:
    world, url = World(), f"sqlite:///{tmp_path}/foundry.db"
    world.hold.clear()
    async with running(url, house(walking()), world) as runtime:
        await runtime.ask(Ledger.at("a"), Begin(workflow="walk", text="x"))
        await eventually(lambda: world.done["one"], lambda n: n == 1)
    for stop in range(CRASHES + 1):
        async with running(url, house(walking()), world):
            await eventually(lambda: world.done["one"], lambda n, stop=stop: n == stop + 2)
    world.hold.set()
    async with running(url, house(walking()), world) as runtime:
        await walked(runtime, "over")
        assert await runtime.read(all_failures) == []


@workflow(owner="Ledger", scope=Scope.APP, steps=("only",))
async def does(flow: Flow, job: Job) -> None:
    world: World = flow.doors  # type: ignore[assignment]
    await flow.do("only", world.act, job.text)


class Fragile(World):
    """Its process dies of "bomb"; all else takes a moment, so that whatever runs beside a bomb is interrupted."""

    def __init__(self) -> None:
        super().__init__()
        self.dead = asyncio.Event()

    async def act(self, what: str) -> Point:
        self.done[what] += 1
        if what == "bomb":
            self.dead.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0.3)
        return Point(x=1)


@pytest.mark.usefixtures("dying")
async def test_who_brings_the_process_down_is_found_and_the_others_go_on(tmp_path: Path) -> None:
    url, declared = f"sqlite:///{tmp_path}/foundry.db", house(Workflows().add(does))
    by_id: dict[str, str] = {}
    for life in range(3 * CRASHES):
        world = Fragile()
        async with running(url, declared, world) as runtime:
            if life == 0:
                for what in ("slow one", "bomb", "slow two"):
                    by_id[await runtime.ask(Ledger.at("a"), Begin(workflow="does", text=what))] = what
            await eventually(lambda w=world, r=runtime: _dead_or_done(w, r), limit=20)
            if not await runtime.read(start_rows):
                (issue,) = await runtime.read(all_failures)
                break
    else:
        raise AssertionError("it still dies")
    assert {what for id_, what in by_id.items() if id_ in issue} == {"bomb"}


async def _dead_or_done(world: Fragile, runtime: Runtime) -> bool:
    return world.dead.is_set() or not await runtime.read(start_rows)


async def test_who_was_taken_over_takes_no_further_step(store_url: str) -> None:
    """A frozen process wakes up after another one has resumed its workflow."""
    world = World()
    world.hold.clear()
    async with running(store_url, house(walking()), world) as runtime:
        started = await runtime.ask(Ledger.at("a"), Begin(workflow="walk"))
        await eventually(lambda: world.done["one"], lambda n: n == 1)
        taken_over = "UPDATE workflows SET generation=generation+1 WHERE id=?"
        await runtime.system(Ledger.at("a"), lambda tx: tx.execute(taken_over, started))
        world.hold.set()
        await runtime.ask(Ledger.at("b"), Begin(workflow="walk", text="later"))
        await eventually(lambda: runtime.read(texts, "b"), lambda notes: ("walk", "over") in notes, limit=20)
        assert (world.done["two"], await runtime.read(texts, "a")) == (1, []), "only the later one went on"
        await eventually(lambda: runtime.read(start_rows), lambda rows: len(rows) == 1)
        assert [row.id for row in await runtime.read(start_rows)] == [started], "it is the other one's to end"


class Cutting(World):
    """While it acts, the database goes away for a moment, and what it does fails."""

    def __init__(self, server: str, database: str) -> None:
        super().__init__()
        self._server, self._database = server, database
        self.cut = False
        self.back = asyncio.Event()

    async def act(self, what: str) -> Point:
        point = await super().act(what)
        if not self.cut:
            self.cut = True
            end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname='{self._database}'"
            await asyncio.to_thread(self._order, f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS false", end)
            back = f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS true"
            asyncio.get_running_loop().call_later(1.5, lambda: asyncio.ensure_future(self._let_in(back)))
            raise OSError("no route")
        return point

    async def _let_in(self, order: str) -> None:
        await asyncio.to_thread(self._order, order)
        self.back.set()

    def _order(self, *orders: str) -> None:
        with psycopg.connect(f"{self._server}postgres", autocommit=True) as admin:
            for order in orders:
                admin.execute(order.encode())


async def test_a_workflow_outlasts_a_database_that_is_away(postgres_server: str, postgres_url: str) -> None:
    world = Cutting(postgres_server, postgres_url.rpartition("/")[2])
    async with running(postgres_url, house(walking()), world) as runtime:
        await runtime.ask(Ledger.at("a"), Begin(workflow="walk", text="x"))
        await eventually(lambda: world.done["one"], lambda n: n == 2, limit=20)
        await world.back.wait()
        await walked(runtime, "over")
        assert world.done == {"one": 2, "two": 1}
        assert '"kind":"workflow_failed"' not in str(await runtime.read(all_failures))


async def test_a_cancelled_workflow_takes_no_further_step(store_url: str) -> None:
    world = World()
    async with running(store_url, house(walking()), world) as runtime:
        world.hold.clear()
        started = await runtime.ask(Ledger.at("a"), Begin(workflow="walk"))
        await eventually(lambda: world.done["one"], lambda n: n == 1)
        await runtime.ask(Ledger.at("a"), Halt(workflow=started))
        world.hold.set()

        await eventually(lambda: runtime.read(start_rows), lambda rows: rows == [])
        await runtime.ask(Ledger.at("b"), Begin(workflow="walk"))
        await eventually(lambda: runtime.read(texts, "b"), lambda n: ("walk", "over") in n, limit=20)
        assert await runtime.read(texts, "a") == [("workflow", "cancelled")], (
            "its owner hears of the end, once nothing of it runs"
        )


@workflow(owner="Ledger", scope=Scope.APP, steps=("only",))
async def quick(flow: Flow, job: Job) -> None:
    await flow.ask("only", flow.owner, Note(author="quick", text="over"))


@workflow(owner="Ledger", scope=Scope.APP, steps=("only",))
async def cursed(flow: Flow, job: Job) -> None:
    """Its owner fails to take its end, until it is cured."""
    await flow.ask("only", flow.owner, Note(author="cursed", text="over"))


async def test_a_cancelled_workflow_ends_when_its_step_has_ended(store_url: str) -> None:
    """Until then it may still act: its row is there, and its owner is not told."""
    world = World()
    async with running(store_url, house(Workflows().add(walk, quick)), world) as runtime:
        world.hold.clear()
        started = await runtime.ask(Ledger.at("a"), Begin(workflow="walk"))
        await eventually(lambda: world.done["one"], lambda n: n == 1)
        await runtime.ask(Ledger.at("a"), Halt(workflow=started))
        await runtime.ask(Ledger.at("b"), Begin(workflow="quick"))  # whoever looks at cancelled ones has looked
        await eventually(lambda: runtime.read(texts, "b"), lambda n: ("quick", "over") in n, limit=20)
        await eventually(lambda: runtime.read(start_rows), lambda rows: len(rows) == 1)
        (row,) = await runtime.read(start_rows)
        assert (row.id, row.cancelled) == (started, True)
        assert await runtime.read(texts, "a") == []

        world.hold.set()
        await eventually(lambda: runtime.read(texts, "a"), lambda notes: notes == [("workflow", "cancelled")])
        assert await runtime.read(start_rows) == []


async def test_a_cancelled_workflow_whose_step_does_not_end_is_cut_off(store_url: str) -> None:
    world = World()
    async with running(store_url, house(walking()), world, pace=Pace(cut_off=0.1)) as runtime:
        world.hold.clear()
        started = await runtime.ask(Ledger.at("a"), Begin(workflow="walk"))
        await eventually(lambda: world.done["one"], lambda n: n == 1)
        await runtime.ask(Ledger.at("a"), Halt(workflow=started))
        await eventually(lambda: runtime.read(texts, "a"), lambda notes: notes == [("workflow", "cancelled")])
        assert await runtime.read(start_rows) == []


async def test_an_end_that_its_owner_fails_to_take_waits_in_its_mailbox(store_url: str) -> None:
    """The row is gone all the same: nothing waits for a workflow that has ended."""
    async with running(store_url, house(Workflows().add(cursed)), World()) as runtime:
        await runtime.ask(Ledger.at("a"), Begin(workflow="cursed"))
        await eventually(lambda: runtime.read(texts, "a"), lambda notes: ("cursed", "over") in notes)
        await eventually(lambda: runtime.read(start_rows), lambda rows: rows == [], limit=20)
        await runtime.ask(Ledger.at("a"), Note(author="cure", text="well"))
        await eventually(lambda: runtime.read(texts, "a"), lambda n: ("workflow", "cursed:done") in n, limit=20)


async def test_a_cancelled_workflow_is_no_issue_any_more(store_url: str) -> None:
    """It would say for ever that the next attempt comes by itself."""
    world = World()
    world.fail = {"one": [OSError("no route")] * 2}
    async with running(store_url, house(Workflows().add(patient)), world) as runtime:
        started = await runtime.ask(Ledger.at("a"), Begin(workflow="patient"))
        assert "step_retrying" in (await eventually(lambda: runtime.read(all_failures), limit=20))[0]
        await runtime.ask(Ledger.at("a"), Halt(workflow=started))
        await eventually(lambda: runtime.read(all_failures), lambda issues: issues == [])
        await runtime.ask(Ledger.at("b"), Begin(workflow="patient"))
        (other,) = await eventually(lambda: runtime.read(all_failures), limit=20)
        assert started not in other


async def test_an_issue_recorded_after_the_workflow_was_cancelled_is_ended(tmp_path: Path) -> None:
    """The cancel comes between the report to the owner and the one to the coordinator, and is seen to elsewhere.

    On SQLite, as its one writer keeps the order in which the two come."""
    world = World()
    world.fail = {"one": [OSError("no route")]}
    async with running(f"sqlite:///{tmp_path}/foundry.db", house(Workflows().add(patient)), world) as runtime:
        seen: list[str] = []

        def heard(address: Address, events: Sequence[Published]) -> None:
            seen.extend(event.entity for event in events if address.kind == "Coordinator")
            if address.kind == "Ledger":
                future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
                runtime.store.submit(SystemWork(address, lambda tx: tx.execute("DELETE FROM workflows"), future))

        listen(runtime, heard)
        await runtime.ask(Ledger.at("a"), Begin(workflow="patient"))
        await eventually(lambda: seen, lambda told: told == ["recorded", "ended"])
        assert await runtime.read(all_failures) == []
        assert world.done == {"one": 1}


@workflow(owner="Ledger", scope=Scope.APP, steps=("first",))
async def patient(flow: Flow, job: Job) -> None:
    """It waits long before it tries again."""
    await flow.do("first", flow.doors.act, "one", backoff=(3600.0,))  # type: ignore[attr-defined]


def test_a_workflow_without_owner_scope_or_steps_is_refused() -> None:
    async def job(flow: Flow, job: Job) -> None: ...

    for missing in ("owner", "scope", "steps"):
        given = {"owner": "Ledger", "scope": Scope.APP, "steps": ("one",)}
        del given[missing]
        with pytest.raises(RegistrationError, match=missing):
            workflow(**given)(job)  # type: ignore[arg-type]


@pytest.mark.usefixtures("dying")
async def test_of_several_replicas_one_at_a_time_resumes_what_another_left(postgres_url: str) -> None:
    """Two that look at once would count one crash twice."""
    world, quick = World(), Pace(renew=0.1, term=0.5)
    world.hold.clear()
    async with running(postgres_url, house(walking()), world, pace=quick) as runtime:
        await runtime.ask(Ledger.at("a"), Begin(workflow="walk", text="x"))
        await eventually(lambda: world.done["one"], lambda n: n == 1)
    with psycopg.connect(postgres_url, autocommit=True) as another:
        until = int(time.time() * 1000) + 3_600_000
        another.execute("UPDATE leases SET holder='another', expires_at=%s WHERE name='healer'", (until,))
        async with running(postgres_url, house(walking()), world, pace=quick) as runtime:
            beats = {await runtime.read(heard_of, runtime.executor)}
            await eventually(lambda: beat(runtime, beats), lambda n: n > 8)  # it has looked as often
            assert world.done["one"] == 1
            another.execute("UPDATE leases SET expires_at=0 WHERE name='healer'")
            await eventually(lambda: world.done["one"], lambda n: n == 2)
            (row,) = await runtime.read(start_rows)
            assert (row.generation, row.crashes) == (1, 1)


async def beat(runtime: Runtime, beats: set[int]) -> int:
    """How many different heartbeats have been seen."""
    beats.add(await runtime.read(heard_of, runtime.executor))
    return len(beats)


def heard_of(reader: Reader, executor: str) -> int:
    row = reader.first(select(leases.c.expires_at).where(leases.c.name == f"replica:{executor}"))
    return row.expires_at if row else 0
