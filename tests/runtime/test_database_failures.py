"""What happens when the database fails: whoever asked is told, nothing is half applied, and it goes on."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from foundry.contracts.errors import Unavailable
from foundry.runtime.actor import handles, receives
from foundry.runtime.intervals import Pace
from foundry.runtime.runtime import House, Runtime
from foundry.runtime.store.base import Transaction
from foundry.runtime.store.migrate import open_store
from foundry.runtime.transactions import TRIES
from foundry.runtime.turn import Turn
from tests.runtime import toys
from tests.runtime.toys import Note, Noted, Relay, all_failures, running, texts
from tests.waiting import eventually

A = toys.Ledger.at("a")
LIMIT = 20.0  # seconds a turn may be held up
LARGE = "x" * 2_000_000  # does not fit


async def test_a_full_disk_fails_every_command_of_the_commit_and_later_ones_work(tmp_path: Path) -> None:
    async with running(f"sqlite:///{tmp_path}/foundry.db") as runtime:
        inside, free = threading.Event(), threading.Event()

        def fill(tx: Transaction) -> None:
            """No further page; and what is asked meanwhile shares one commit."""
            (pages,) = tx.execute("PRAGMA page_count")[0]
            tx.execute(f"PRAGMA max_page_count={int(str(pages)) + 40}")
            inside.set()
            assert free.wait(LIMIT)

        filling = asyncio.ensure_future(runtime.system(A, fill))
        await eventually(inside.is_set)
        small = [runtime.ask(A, Note(text=str(n)), key=str(n)) for n in range(20)]
        asks = [asyncio.ensure_future(ask) for ask in [*small, runtime.ask(A, Note(text=LARGE), key="large")]]
        await asyncio.sleep(0)  # they are asked
        free.set()
        await filling
        outcomes = await asyncio.gather(*asks, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 21
        assert "full" in str(outcomes[0])
        assert await runtime.read(texts, "a") == []

        assert await runtime.ask(A, Note(text="0"), key="0") == 0, "what fits still works, under the same key too"
        with pytest.raises(Unavailable):
            await runtime.ask(A, Note(text=LARGE), key="large")
        await runtime.system(A, lambda tx: tx.execute("PRAGMA max_page_count=1000000"))
        assert await runtime.ask(A, Note(text=LARGE), key="large") == 1
        assert runtime.stuck() is None


class Ledger(toys.Ledger):
    """Holds up the turns that say so, in the middle, as often as the test wants."""

    def __init__(self) -> None:
        self.holds = 0
        self.held: queue.Queue[str] = queue.Queue()
        self.go_on = threading.Semaphore(0)

    def _held(self, text: str) -> None:
        if text == "hold" and self.holds:
            self.holds -= 1
            self.held.put(text)
            assert self.go_on.acquire(timeout=LIMIT)

    @handles(Note)
    def note(self, turn: Turn, command: Note) -> int:
        number = self._note(turn, command.author, command.text)
        self._held(command.text)
        return number

    @receives(Noted)
    def noted(self, turn: Turn, message: Noted) -> None:
        self._note(turn, message.author, message.text)
        self._held(message.text)

    def house(self) -> House:
        return House((self, toys.Coordinator()), lambda scope: toys.COORDINATOR)


async def kill(url: str, ledger: Ledger) -> None:
    """End the connection of the turn that is held up, then let it go on."""
    await eventually(lambda: not ledger.held.empty())
    ledger.held.get()
    query = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE state='idle in transaction'"
        " AND query LIKE 'INSERT INTO toy_notes%' AND datname=current_database()"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute(query).fetchall() == [(True,)]
    ledger.go_on.release()


async def test_a_connection_killed_in_a_turn_is_told_and_asking_again_applies_it_once(postgres_url: str) -> None:
    ledger = Ledger()
    async with running(postgres_url, ledger.house()) as runtime:
        ledger.holds = 1
        asking = asyncio.ensure_future(runtime.ask(A, Note(text="hold"), key="k"))
        await kill(postgres_url, ledger)
        with pytest.raises(Unavailable) as caught:
            await asking
        assert caught.value.transient
        assert await runtime.read(texts, "a") == []
        assert [await runtime.ask(A, Note(text="hold"), key="k") for _ in range(2)] == [0, 0]
        assert await runtime.read(texts, "a") == [("edge", "hold")]


async def test_a_connection_killed_in_a_messages_turn_is_no_try_of_the_message(postgres_url: str) -> None:
    """More often than a message is tried: it would have been set aside."""
    ledger = Ledger()
    async with running(postgres_url, ledger.house(), pace=Pace(sweep=0.05)) as runtime:
        ledger.holds = TRIES + 1
        await runtime.ask(A, Relay(to=["b"], texts=["hold", "after"]))
        for _ in range(TRIES + 1):
            await kill(postgres_url, ledger)
        await eventually(lambda: runtime.read(texts, "b"), lambda notes: notes == [("a", "hold"), ("a", "after")])
        assert await runtime.read(all_failures) == []


async def test_a_lock_that_cannot_be_had_is_no_try_of_the_message(postgres_url: str) -> None:
    """The connection lives, so a try could be counted. Waiting is cut short here as the lock's time limit would do."""
    cancel = (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type='Lock'"
        " AND query LIKE 'INSERT INTO toy_notes%' AND datname=current_database()"
    )
    async with running(postgres_url, pace=Pace(sweep=0.05)) as runtime:
        with psycopg.connect(postgres_url, autocommit=True) as other, psycopg.connect(postgres_url) as holder:
            holder.execute("LOCK TABLE toy_notes IN SHARE MODE")
            await runtime.ask(A, Relay(to=["b"], texts=["told"]))
            for _ in range(2 * TRIES):
                await eventually(lambda: other.execute(cancel).fetchall())
        await eventually(lambda: runtime.read(texts, "b"), lambda notes: notes == [("a", "told")])
        assert await runtime.read(all_failures) == []


async def test_who_was_frozen_in_a_transaction_is_told_that_the_database_was_away(postgres_url: str) -> None:
    """PostgreSQL ends a transaction that stands still for too long; psycopg counts that among internal errors."""

    def stand_still(execute: Callable[[str], object]) -> None:
        execute("SELECT set_config('idle_in_transaction_session_timeout', '50', true)")
        time.sleep(0.5)
        execute("SELECT 1")

    async with running(postgres_url) as runtime:
        with pytest.raises(Unavailable):
            await runtime.system(A, lambda tx: stand_still(tx.execute))
        with pytest.raises(Unavailable):
            await runtime.read(lambda reader: stand_still(lambda sql: reader.first(text(sql))))
        assert await runtime.ask(A, Note(text="on")) == 0


async def test_a_database_that_cannot_be_opened_fails_what_waits_for_it_and_is_tried_again(tmp_path: Path) -> None:
    """As at a start on a full disk: nothing may wait for a writer that has gone."""
    path = tmp_path / "foundry.db"
    async with running(f"sqlite:///{path}", ledgers=("a",)) as runtime:
        await runtime.ask(A, Note(text="before"))
    away = tmp_path / "away.db"
    path.rename(away)
    path.mkdir()  # what SQLite cannot open
    runtime = Runtime(toys.house(), open_store(f"sqlite:///{path}"))
    with pytest.raises(Unavailable):
        await asyncio.wait_for(runtime.start(None), LIMIT)  # type: ignore[arg-type]
    path.rmdir()
    away.rename(path)
    assert await asyncio.wait_for(runtime.ask(A, Note(text="after")), LIMIT) == 1
    await asyncio.to_thread(runtime.store.close)
