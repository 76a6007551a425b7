"""What a topic promises: a snapshot and the events after it are a fresh snapshot, or the watcher is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from foundry.contracts.messages import Address
from foundry.runtime.intervals import Pace
from foundry.runtime.reader import Reader
from foundry.runtime.runtime import Runtime
from foundry.runtime.store.base import Transaction
from foundry.runtime.topic import KEEP_EVENTS, QUEUE, Published, Resync, Subscription
from foundry.runtime.upkeep.retention import Upkeep
from tests.runtime.toys import Burst, Diary, Ledger, Note, NoteTaken, Open, Write, running, running_beside, texts

A = Ledger.at("a")
LIMIT = 10.0  # seconds for an event to come; the sweep takes one
NEVER = 3600.0  # seconds


async def heard(events: AsyncIterator[Published], count: int) -> list[Published]:
    """The next so many."""
    async with asyncio.timeout(LIMIT):
        return [await anext(events) for _ in range(count)]


@asynccontextmanager
async def subscribed(runtime: Runtime, address: Address = A) -> AsyncIterator[Subscription]:
    subscription = runtime.hub.subscribe(address)
    try:
        yield subscription
    finally:
        subscription.close()


def snapshot(reader: Reader) -> tuple[int, list[tuple[str, str]]]:
    return reader.version(A), texts(reader, "a")


def folded(known: list[tuple[str, str]], events: list[Published]) -> list[tuple[str, str]]:
    notes = [NoteTaken.model_validate_json(event.body) for event in events]
    assert [note.number for note in notes] == list(range(len(known), len(known) + len(notes))), "in order, each once"
    return known + [(note.author, note.text) for note in notes]


async def test_a_snapshot_and_the_events_after_it_are_a_fresh_snapshot(store_url: str) -> None:
    """The snapshot is read in the middle of the work of two replicas."""
    async with (
        running(store_url) as one,
        running_beside(store_url, one) as two,
        subscribed(one) as first,
        subscribed(two) as second,
    ):
        asks = [(one, two)[n % 2].ask(A, Note(text=str(n))) for n in range(60)]
        working = asyncio.gather(*asks)
        await one.ask(A, Note(text="some are there"))
        begun = [await one.read(snapshot), await two.read(snapshot)]
        await working
        version, fresh = await one.read(snapshot)
        for subscription, (then, known) in zip((first, second), begun, strict=True):
            assert folded(known, await heard(subscription.events(then), version - then)) == fresh


async def test_a_long_history_is_not_pushed_to_who_has_read_it(store_url: str) -> None:
    """A session with more events than a watcher may lag behind would otherwise start anew for ever."""
    async with running(store_url) as one, running_beside(store_url, one) as two:
        for _ in range(5):
            await one.ask(A, Burst(count=2_000))
        async with subscribed(one) as subscription:
            version, _ = await one.read(snapshot)
            assert version == 10_000 > QUEUE
            events = subscription.events(version)
            for number in range(3):  # on PostgreSQL each of them is found by a sweep
                await two.ask(A, Note(text=str(number)))
                assert [e.version for e in await heard(events, 1)] == [version + 1 + number]


async def test_what_another_replica_published_before_the_watcher_began_comes(postgres_url: str) -> None:
    """Between the snapshot and `events` nothing of this process brings it, and no sweep either."""
    slow = Pace(sweep=NEVER)
    async with running(postgres_url, pace=slow) as one, running(postgres_url) as two, subscribed(one) as subscription:
        version, _ = await one.read(snapshot)
        await two.ask(A, Note(text="meanwhile"))
        assert [e.version for e in await heard(subscription.events(version), 1)] == [version + 1]


async def test_an_event_after_a_gap_brings_what_is_missing(postgres_url: str) -> None:
    """Two replicas publish in turn: the one's fan-out tells it that it has missed the other's."""
    slow = Pace(sweep=NEVER)
    async with running(postgres_url, pace=slow) as one, running(postgres_url) as two, subscribed(one) as subscription:
        await one.ask(A, Note(text="0"))
        events = subscription.events(0)
        await heard(events, 1)
        await two.ask(A, Note(text="1"))
        await one.ask(A, Note(text="2"))
        assert [e.version for e in await heard(events, 2)] == [2, 3]


async def test_commits_that_are_heard_of_in_another_order_are_passed_on_in_theirs(store_url: str) -> None:
    async with running(store_url) as runtime, subscribed(runtime) as subscription:
        await runtime.ask(A, Burst(count=1))
        events = subscription.events(0)
        await heard(events, 1)

        def late(tx: Transaction) -> None:
            for version in (2, 3):
                tx.execute(
                    "INSERT INTO events (actor, version, word, entity, body, at) VALUES (?,?,'NoteTaken','','',?)",
                    str(A), version, tx.now,
                )  # fmt: skip
            tx.execute("UPDATE actors SET version=3 WHERE actor=?", str(A))

        await runtime.system(A, late)
        for version in (3, 2):
            runtime.hub.publish(A, [Published(version, "NoteTaken", "", "", None, None)])
        assert [e.version for e in await heard(events, 2)] == [2, 3]
        await runtime.ask(A, Burst(count=1))
        assert [e.version for e in await heard(events, 1)] == [4], "each once"


async def test_a_slow_watcher_has_to_take_a_fresh_snapshot(store_url: str) -> None:
    async with running(store_url) as runtime, subscribed(runtime) as slow, subscribed(runtime) as other:
        await runtime.ask(A, Burst(count=1))
        events, quick = slow.events(0), other.events(0)
        await heard(events, 1)
        await heard(quick, 1)
        await runtime.ask(A, Burst(count=QUEUE))
        assert len(await heard(quick, QUEUE)) == QUEUE
        await runtime.ask(A, Burst(count=1))
        await heard(quick, 1)
        with pytest.raises(Resync):
            await heard(events, 1)

        async with subscribed(runtime) as again:
            version, _ = await runtime.read(snapshot)
            await runtime.ask(A, Burst(count=1))
            assert [e.version for e in await heard(again.events(version), 1)] == [version + 1]


async def test_a_watcher_can_be_made_to_take_a_fresh_snapshot(store_url: str) -> None:
    async with running(store_url) as runtime, subscribed(runtime) as subscription:
        await runtime.ask(A, Burst(count=3))
        events = subscription.events(0)
        await heard(events, 1)
        subscription.resync()
        with pytest.raises(Resync):
            await heard(events, 1)


async def test_two_watchers_get_each_what_comes_after_their_own_snapshot(store_url: str) -> None:
    async with running(store_url) as runtime, subscribed(runtime) as first, subscribed(runtime) as second:
        await runtime.ask(A, Burst(count=5))
        old, new = first.events(1), second.events(4)
        assert [e.version for e in await heard(old, 4)] == [2, 3, 4, 5]
        assert [e.version for e in await heard(new, 1)] == [5]
        await runtime.ask(A, Burst(count=2))
        assert [e.version for e in await heard(old, 2)] == [6, 7]
        first.close()
        assert [e.version for e in await heard(new, 2)] == [6, 7]


async def aged(runtime: Runtime, address: Address, upto: int) -> None:
    """Make the events up to this version older than any watcher may be, and purge."""

    def age(tx: Transaction) -> None:
        tx.execute("UPDATE events SET at=1 WHERE actor=? AND version<=?", str(address), upto)

    await runtime.system(address, age)
    await runtime.system(address, Upkeep(["Diary"], runtime.system).purge)


def versions(reader: Reader, address: Address) -> list[int]:
    return [row.version for row in reader.events(address)]


async def test_who_is_behind_what_was_purged_has_to_take_a_fresh_snapshot(store_url: str) -> None:
    async with running(store_url) as runtime:
        await runtime.ask(A, Burst(count=6))
        await aged(runtime, A, upto=4)
        assert await runtime.read(versions, A) == [5, 6]
        async with subscribed(runtime) as early, subscribed(runtime) as late:
            assert [e.version for e in await heard(late.events(4), 2)] == [5, 6]
            with pytest.raises(Resync):
                await heard(early.events(3), 1)


async def test_at_most_so_many_events_of_a_topic_are_kept(store_url: str) -> None:
    async with running(store_url) as runtime:
        for _ in range(6):
            await runtime.ask(A, Burst(count=KEEP_EVENTS // 5))
        await runtime.system(A, Upkeep(["Diary"], runtime.system).purge)
        kept = await runtime.read(versions, A)
        assert (len(kept), kept[-1]) == (KEEP_EVENTS, KEEP_EVENTS // 5 * 6)


async def test_a_purge_never_walks_through_what_is_kept(tmp_path: Path) -> None:
    """It holds the writer: a million transcript events must not make it slow."""

    def plans(tx: Transaction) -> list[str]:
        statements = Upkeep(["Diary"], runtime.system).statements(tx.now)
        return [str(row[3]) for sql, values in statements for row in tx.execute(f"EXPLAIN QUERY PLAN {sql}", *values)]

    async with running(f"sqlite:///{tmp_path}/foundry.db") as runtime:
        looks = [plan for plan in await runtime.system(A, plans) if "event" in plan or " e " in plan]
        assert looks
        assert all("(actor=?" in look for look in looks), looks


async def test_events_that_are_state_are_replaced_and_never_purged(store_url: str) -> None:
    diary = Diary.at("d")
    async with running(store_url) as runtime:
        await runtime.ask(diary, Open())
        for entity, text in (("x", "1"), ("y", "1"), ("x", "2"), ("x", "3")):
            await runtime.ask(diary, Write(entity=entity, text=text))
        await aged(runtime, diary, upto=9)
        assert await runtime.read(versions, diary) == [2, 4]
        async with subscribed(runtime, diary) as subscription:
            events = subscription.events(1)
            assert [e.version for e in await heard(events, 2)] == [2, 4], "a replaced one is not missing"
            await runtime.ask(diary, Write(entity="y", text="2"))
            assert [e.version for e in await heard(events, 1)] == [5]
