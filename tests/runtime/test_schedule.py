"""What a schedule promises: at its time, once, the last wish counts; on PostgreSQL by the database's clock."""

from __future__ import annotations

import asyncio

import psycopg
from sqlalchemy import select

from foundry.contracts.issues import Failure, IssueKind
from foundry.runtime.actor import due
from foundry.runtime.reader import Reader
from foundry.runtime.runtime import House, Runtime
from foundry.runtime.schedule import BACKOFF, DueWork
from foundry.runtime.store.base import Transaction
from foundry.runtime.store.tables import schedules
from foundry.runtime.turn import Turn
from tests.runtime import toys
from tests.runtime.toys import Close, Remind, all_failures, running, running_beside, texts
from tests.waiting import eventually

A = toys.Ledger.at("a")
HOUR = 3_600_000  # milliseconds
REMINDED = [("schedule", "reminder")]


def planned(reader: Reader) -> list[tuple[str, int, int]]:
    return [(row.actor, row.due_at, row.generation) for row in reader.all(select(schedules))]


async def fire(runtime: Runtime, generation: int) -> None:
    """As a timer does that has seen this generation due; then wait until it has been looked at."""
    runtime.store.submit(DueWork(runtime, A, "reminder", generation))
    await runtime.system(A, lambda tx: None)  # one thread works for an actor, in order


async def test_it_comes_once_and_not_before_its_time(store_url: str) -> None:
    async with running(store_url) as runtime:
        before = await runtime.system(A, lambda tx: tx.now)
        await runtime.ask(A, Remind(milliseconds=150))
        ((_, due_at, _),) = await runtime.read(planned)
        assert before + 150 <= due_at
        await eventually(lambda: runtime.read(texts, "a"), lambda notes: notes == REMINDED)
        assert await runtime.system(A, lambda tx: tx.now) >= due_at
        assert await runtime.read(planned) == []


async def test_a_timer_that_is_early_fires_nothing(store_url: str) -> None:
    """Its clock may be ahead of the database's."""
    async with running(store_url) as runtime:
        await runtime.ask(A, Remind(milliseconds=HOUR))
        await fire(runtime, 1)
        assert (await runtime.read(texts, "a"), len(await runtime.read(planned))) == ([], 1)


def overdue(tx: Transaction) -> None:
    tx.execute("UPDATE schedules SET due_at=1")


async def test_a_replaced_wish_is_ignored_even_if_it_was_seen_due(store_url: str) -> None:
    async with running(store_url) as runtime:
        await runtime.ask(A, Remind(milliseconds=HOUR))
        await runtime.ask(A, Remind(milliseconds=HOUR + 1))
        ((_, _, generation),) = await runtime.read(planned)
        assert generation == 2
        await fire(runtime, 1)
        assert await runtime.read(texts, "a") == []
        await runtime.system(A, overdue)
        runtime.timer.poke()
        await eventually(lambda: runtime.read(texts, "a"), lambda notes: notes == REMINDED)


async def test_it_can_be_wished_again_after_it_came(store_url: str) -> None:
    async with running(store_url) as runtime:
        for count in (1, 2):
            await runtime.ask(A, Remind(milliseconds=1))
            await eventually(lambda n=count: runtime.read(texts, "a"), lambda notes, n=count: notes == REMINDED * n)


async def test_two_timers_fire_it_once(store_url: str) -> None:
    async with running(store_url) as one, running_beside(store_url, one) as two:
        await one.ask(A, Remind(milliseconds=HOUR))
        await one.system(A, overdue)
        await asyncio.gather(*(fire(runtime, 1) for runtime in (one, two, one, two)))
        assert await one.read(texts, "a") == REMINDED


async def test_it_survives_a_restart(store_url: str) -> None:
    async with running(store_url) as runtime:
        await runtime.ask(A, Remind(milliseconds=HOUR))
        wished = await runtime.read(planned)
    async with running(store_url) as runtime:
        assert await runtime.read(planned) == wished
        await runtime.system(A, overdue)
        await eventually(lambda: runtime.read(texts, "a"), lambda notes: notes == REMINDED)
        assert await runtime.read(planned) == []


class Ledger(toys.Ledger):
    """Its reminder fails as often as the test wants."""

    failures = 0

    @due("reminder")
    def reminded(self, turn: Turn) -> None:
        self._note(turn, "schedule", "reminder")
        if self.failures:
            self.failures -= 1
            raise ValueError("not today")


async def test_one_that_fails_is_tried_again_said_from_the_third_time_on_and_taken_back_when_it_works(
    store_url: str,
) -> None:
    ledger = Ledger()
    house = House((ledger, toys.Coordinator()), lambda scope: toys.COORDINATOR)
    async with running(store_url, house) as runtime:

        async def again() -> None:
            await runtime.system(A, overdue)
            await fire(runtime, 1)

        await runtime.ask(A, Remind(milliseconds=HOUR))
        ledger.failures = 4
        for tries in (1, 2):
            await again()
            ((_, due_at, _),) = await runtime.read(planned)
            now = await runtime.system(A, lambda tx: tx.now)
            assert now < due_at <= now + 1000 * BACKOFF[tries - 1]
        assert await runtime.read(all_failures) == [], "twice may be chance"
        await again()
        told = await eventually(lambda: runtime.read(all_failures))
        failure = Failure.model_validate_json(told[0])
        assert (failure.kind, failure.actor, failure.attempt) == (IssueKind.SCHEDULE_FAILING, str(A), 3)
        assert failure.message == "ValueError: not today"
        assert failure.remedy
        assert failure.retry_at is not None
        assert await runtime.read(texts, "a") == [], "a turn that fails leaves nothing"
        await again()
        await again()
        await eventually(lambda: runtime.read(all_failures), lambda failures: failures == [])
        assert await runtime.read(texts, "a") == REMINDED
        assert await runtime.read(planned) == []


async def test_a_name_that_only_a_newer_replica_knows_is_left_to_it_for_a_while(store_url: str) -> None:
    def newer(tx: Transaction) -> None:
        tx.execute("UPDATE schedules SET name='of the next release', due_at=?", tx.now - 1)

    def tries(reader: Reader) -> list[int]:
        return [row.tries for row in reader.all(select(schedules))]

    async with running(store_url) as runtime:
        await runtime.ask(A, Remind(milliseconds=HOUR))
        await runtime.system(A, newer)
        await runtime.ask(toys.Ledger.at("b"), Remind(milliseconds=50))
        await eventually(lambda: runtime.read(texts, "b"), lambda notes: notes == REMINDED)  # a later look
        assert await runtime.read(tries) == [0]
        await runtime.system(A, overdue)  # nobody has taken it for long
        await eventually(lambda: runtime.read(tries), lambda found: found[0] > 0)


async def test_the_end_of_an_actor_is_the_end_of_its_schedules(store_url: str) -> None:
    async with running(store_url) as runtime:
        await runtime.ask(A, Remind(milliseconds=HOUR))
        await runtime.ask(A, Close())
        assert await runtime.read(planned) == []


async def test_the_clock_is_the_databases(postgres_url: str) -> None:
    """Here it is an hour ahead of this process's: what is due in a moment there is due in an hour here."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA skewed")
        connection.execute(
            "CREATE FUNCTION skewed.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE"
            " AS $$ SELECT pg_catalog.clock_timestamp() + interval '1 hour' $$"
        )
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET search_path = skewed, pg_catalog, public".encode())
    async with running(postgres_url) as runtime:
        await runtime.ask(A, Remind(milliseconds=30))
        await eventually(lambda: runtime.read(texts, "a"), lambda notes: notes == REMINDED)
