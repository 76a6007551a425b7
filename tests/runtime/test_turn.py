"""What a turn promises: together or not at all, once per key, and nobody hears of it before the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest

from foundry.contracts.errors import KeyReused, NotFound, WrongState
from foundry.runtime.store.base import Work
from foundry.runtime.store.sqlite import SqliteStore
from tests.runtime.toys import Close, Ledger, Note, Put, Relay, Remind, running, running_beside, texts
from tests.waiting import eventually
from tests.world.rest import quiet


async def test_put_changes_the_rows_that_match_and_inserts_one_if_none_do(store_url: str) -> None:
    """The actor's own rows only: another ledger's note with the same number stays as it is."""
    async with running(store_url) as runtime:
        for ledger in ("a", "b"):
            await runtime.ask(Ledger.at(ledger), Note(text="first"))
        await runtime.ask(Ledger.at("a"), Put(number=0, author="put", text="changed"))
        await runtime.ask(Ledger.at("a"), Put(number=7, author="put", text="new"))
        assert await runtime.read(texts, "a") == [("put", "changed"), ("put", "new")]
        await runtime.ask(Ledger.at("a"), Put(number=None, author="put", text="all"))
        assert await runtime.read(texts, "a") == [("put", "all"), ("put", "all")]
        assert await runtime.read(texts, "b") == [("edge", "first")]


async def test_a_turns_answer_and_rows_are_there(store_url: str) -> None:
    async with running(store_url) as runtime:
        assert await runtime.ask(Ledger.at("a"), Note(text="one")) == 0
        assert await runtime.ask(Ledger.at("a"), Note(text="two")) == 1
        assert await runtime.read(texts, "a") == [("edge", "one"), ("edge", "two")]


async def test_a_failing_turn_leaves_nothing(store_url: str) -> None:
    async with running(store_url) as runtime:
        with pytest.raises(RuntimeError):
            await runtime.ask(Ledger.at("a"), Note(text="x", fail=True))
        with pytest.raises(RuntimeError):
            await runtime.ask(Ledger.at("a"), Relay(to=["b"], texts=["x"], fail=True))
        assert await runtime.ask(Ledger.at("a"), Note(text="y")) == 0
        await runtime.ask(Ledger.at("a"), Relay(to=["b"], texts=["z"]))
        await eventually(lambda: runtime.read(texts, "b"), lambda t: t == [("a", "z")])
        assert await runtime.read(lambda r: r.version(Ledger.at("a"))) == 1


async def test_turns_that_share_a_commit_fail_alone(store_url: str) -> None:
    async with running(store_url) as runtime:
        asks = [runtime.ask(Ledger.at("a"), Note(text=str(n), fail=n % 3 == 0)) for n in range(30)]
        results = await asyncio.gather(*asks, return_exceptions=True)
        assert [isinstance(r, RuntimeError) for r in results] == [n % 3 == 0 for n in range(30)]
        assert [t for _, t in await runtime.read(texts, "a")] == [str(n) for n in range(30) if n % 3]


async def test_a_repeated_key_gets_the_stored_answer(store_url: str) -> None:
    async with running(store_url) as runtime:
        first = await runtime.ask(Ledger.at("a"), Note(text="x"), key="k", caller="me")
        again = await runtime.ask(Ledger.at("a"), Note(text="x"), key="k", caller="me")
        other = await runtime.ask(Ledger.at("a"), Note(text="x"), key="k", caller="you")
        assert (first, again, other) == (0, 0, 1)
        with pytest.raises(KeyReused):
            await runtime.ask(Ledger.at("a"), Note(text="y"), key="k", caller="me")


async def test_a_refusal_is_stored_and_an_error_is_not(store_url: str) -> None:
    async with running(store_url) as runtime:
        for _ in range(2):
            with pytest.raises(WrongState, match="will not have it") as caught:
                await runtime.ask(Ledger.at("a"), Note(text="x", refuse=True), key="k")
            assert caught.value.field == "text"
        with pytest.raises(KeyReused):
            await runtime.ask(Ledger.at("a"), Note(text="x"), key="k")
        with pytest.raises(RuntimeError):
            await runtime.ask(Ledger.at("a"), Note(text="x", fail=True), key="k2")
        with pytest.raises(RuntimeError):
            await runtime.ask(Ledger.at("a"), Note(text="x", fail=True), key="k2")


async def test_one_key_at_once_is_applied_once(store_url: str) -> None:
    async with running(store_url) as one, running_beside(store_url, one) as two:
        runtimes = [one, two] * 10
        answers = await asyncio.gather(*(r.ask(Ledger.at("a"), Note(text="x"), key="k") for r in runtimes))
        assert set(answers) == {0}
        assert len(await one.read(texts, "a")) == 1


async def test_an_unknown_actor_refuses(store_url: str) -> None:
    async with running(store_url) as runtime:
        with pytest.raises(NotFound):
            await runtime.ask(Ledger.at("nobody"), Note(text="x"))
        with pytest.raises(NotFound):
            await runtime.read(lambda r: r.version(Ledger.at("nobody")))


async def test_after_its_end_an_actor_refuses_and_counts_what_comes(store_url: str) -> None:
    async with running(store_url) as runtime:
        await runtime.ask(Ledger.at("b"), Close())
        with pytest.raises(NotFound):
            await runtime.ask(Ledger.at("b"), Note(text="x"))
        await runtime.ask(Ledger.at("a"), Relay(to=["b", "c"], texts=["x"]))
        await eventually(lambda: runtime.read(texts, "c"), lambda t: t == [("a", "x")])

        def dropped(reader: object) -> int:
            from sqlalchemy import select

            from foundry.runtime.store.tables import actors

            return reader.one(select(actors.c.dropped).where(actors.c.actor == "Ledger:b"))[0]  # type: ignore[attr-defined]

        await eventually(lambda: runtime.read(dropped), lambda n: n == 1)


async def test_a_schedule_fires_once_and_a_replaced_one_never(store_url: str) -> None:
    async with running(store_url) as runtime:
        await runtime.ask(Ledger.at("a"), Remind(milliseconds=30))
        await runtime.ask(Ledger.at("a"), Remind(milliseconds=60))
        await eventually(lambda: runtime.read(texts, "a"), lambda t: t == [("schedule", "reminder")])
        await quiet(runtime)
        assert len(await runtime.read(texts, "a")) == 1


async def test_an_answer_is_given_after_the_commit(tmp_path: Path) -> None:
    async with running(f"sqlite:///{tmp_path}/foundry.db") as runtime:
        store, before = runtime.store, list[bool]()
        assert isinstance(store, SqliteStore)
        settled = store._settled

        def look(works: Sequence[Work], error: BaseException | None) -> None:
            assert store._tx
            before.append(store._tx.raw.in_transaction)
            settled(works, error)

        store._settled = look
        await runtime.ask(Ledger.at("a"), Note(text="x"))
    assert before
    assert not any(before)


async def test_a_turn_waits_for_its_actors_row_before_it_reads_it(postgres_url: str) -> None:
    """Another replica's turn has it. What was read before would be written over."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with running(postgres_url) as runtime:
        await runtime.ask(Ledger.at("a"), Note(text="x"))
        with psycopg.connect(postgres_url) as other, psycopg.connect(postgres_url, autocommit=True) as watch:
            other.execute("UPDATE actors SET version = version + 10 WHERE actor = 'Ledger:a'")
            asked = asyncio.create_task(runtime.ask(Ledger.at("a"), Note(text="y")))
            await eventually(lambda: watch.execute(waits).fetchone(), lambda found: found == (1,))
            other.commit()
        await asked
        assert await runtime.read(lambda reader: reader.version(Ledger.at("a"))) == 12
