"""What NOTIFY between replicas does, and that nothing is lost without it. Where it works, the sweep is hours away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
import pytest

from foundry.contracts.messages import Address
from foundry.runtime.intervals import Pace
from foundry.runtime.mailbox.notify import CHANNEL, PAYLOAD_LIMIT, News, Notice
from foundry.runtime.runtime import Runtime
from foundry.runtime.topic import Published
from foundry.runtime.workflow.flow import Flow, Scope, Workflows, workflow
from tests.runtime.toys import Begin, Burst, Job, Ledger, Note, Noted, Relay, house, running, texts
from tests.waiting import eventually

NEVER = 3600.0  # seconds
DEAF = Pace(sweep=NEVER, look=NEVER)  # looks only when told to
LIMIT_OF_WAITING = 20.0  # seconds
A, B = Ledger.at("a"), Ledger.at("b")


@asynccontextmanager
async def watched(runtime: Runtime, address: Address) -> AsyncIterator[AsyncIterator[Published]]:
    """The events of a topic from now on."""
    subscription = runtime.hub.subscribe(address)
    events = subscription.events(await runtime.read(lambda reader: reader.version(address)))
    try:
        yield events
    finally:
        subscription.close()


async def next_of(events: AsyncIterator[Published]) -> str:
    async with asyncio.timeout(LIMIT_OF_WAITING):
        return (await anext(events)).body


@contextmanager
def admin(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def backends(url: str, name: str) -> set[object]:
    query = (
        "SELECT pid FROM pg_stat_activity WHERE application_name=%s AND datname=current_database() AND state='idle'"
        " AND query <> ''"  # it has done its first statement, a listener its LISTEN
    )
    with admin(url) as connection:
        return {row[0] for row in connection.execute(query, (name,)).fetchall()}


async def cut(url: str, name: str) -> set[object]:
    """End the server's side of these connections; gives which they were."""
    there = await eventually(lambda: backends(url, name))
    with admin(url) as connection:
        for pid in there:
            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
    return there


async def listening(url: str, count: int = 2) -> None:
    """Every replica's listener has connected; what it looked at then is behind it."""
    await eventually(lambda: backends(url, "foundry listener"), lambda there: len(there) == count)


async def test_an_event_reaches_the_watchers_of_another_replica(postgres_url: str) -> None:
    async with (
        running(postgres_url, pace=DEAF) as one,
        running(postgres_url, pace=DEAF) as two,
        watched(two, A) as events,
    ):
        for text in ("first", "second"):
            await one.ask(A, Note(text=text))
            assert text in await next_of(events)


async def test_a_message_sent_on_one_replica_is_seen_on_another(postgres_url: str) -> None:
    async with (
        running(postgres_url, pace=DEAF) as one,
        running(postgres_url, pace=DEAF) as two,
        watched(two, B) as events,
    ):
        await one.ask(A, Relay(to=["b"], texts=["told"]))
        assert "told" in await next_of(events)


def send(url: str, receiver: Address, text: str, *, seq: int) -> None:
    """A message as a replica leaves it that dies right after its commit."""
    with admin(url) as connection:
        connection.execute(
            "INSERT INTO mailbox (receiver, sender, seq, word, body, sent_at) VALUES (%s,'Ledger:x',%s,'Noted',%s,1)",
            (str(receiver), seq, Noted(author="x", text=text).model_dump_json()),
        )


def tell(url: str, payload: str) -> None:
    with admin(url) as connection:
        connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))


async def test_a_named_receiver_is_looked_at_and_no_other(postgres_url: str) -> None:
    async with running(postgres_url, pace=DEAF) as runtime:
        await listening(postgres_url, 1)
        await runtime.ask(A, Relay(to=["c"], texts=["the first look is over"]))
        await eventually(lambda: runtime.read(texts, "c"))
        send(postgres_url, A, "named", seq=1)
        send(postgres_url, B, "not named", seq=2)
        tell(postgres_url, Notice(sender="another", mail=[str(A)]).model_dump_json())
        await eventually(lambda: runtime.read(texts, "a"), lambda notes: notes == [("x", "named")])
        assert await runtime.read(texts, "b") == []
        tell(postgres_url, Notice(sender=runtime.executor, mail=[str(B)]).model_dump_json())
        send(postgres_url, A, "named again", seq=3)
        tell(postgres_url, Notice(sender="another", mail=[str(A)]).model_dump_json())
        await eventually(lambda: runtime.read(texts, "a"), lambda notes: len(notes) == 2)
        assert await runtime.read(texts, "b") == [], "what it tells itself it knows"
        tell(postgres_url, "of a later version")
        await eventually(lambda: runtime.read(texts, "b"), lambda notes: notes == [("x", "not named")])


@contextmanager
def overheard(url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with admin(url) as connection:
        connection.execute(f"LISTEN {CHANNEL}".encode())
        yield connection


async def notices(connection: psycopg.Connection[tuple[object, ...]], names: set[str]) -> list[Notice]:
    """What is told until all of these were named."""
    heard: list[Notice] = []

    def look() -> set[str]:
        told = connection.notifies(timeout=0)
        heard.extend(Notice.model_validate_json(one.payload) for one in told)
        return {name for notice in heard for name in (*notice.mail, *notice.topics)}

    await eventually(look, lambda named: names <= named)
    return heard


async def test_a_notice_names_what_was_committed_and_nothing_else(postgres_url: str) -> None:
    async with running(postgres_url) as runtime:
        await runtime.ask(B, Note(text="before"))
        await eventually(lambda: backends(postgres_url, "foundry notifier"))
        with overheard(postgres_url) as connection:
            with pytest.raises(RuntimeError):
                await runtime.ask(B, Note(text="x", fail=True))
            await runtime.ask(A, Relay(to=["c"], texts=["x", "y"]))
            heard = await notices(connection, {"Ledger:c"})
            assert {name for one in heard for name in one.mail} == {"Ledger:c"}
            assert {one.sender for one in heard} == {runtime.executor}
            assert not any(one.workflows or one.everything for one in heard)
            told = {name for one in heard for name in one.topics} - {"Ledger:b"}
            assert told <= {"Ledger:c"}, "a topic nobody published on was named"


async def test_what_is_committed_together_leaves_as_one_notice(postgres_url: str) -> None:
    async with running(postgres_url, pace=Pace(coalesce=0.3)) as runtime:
        with overheard(postgres_url) as connection:
            await asyncio.gather(*(runtime.ask(Ledger.at(n), Note(text="x")) for n in "abc" for _ in range(20)))
            heard = await notices(connection, {"Ledger:a", "Ledger:b", "Ledger:c"})
        assert len(heard) < 10, "sixty turns"


def test_a_notice_is_never_too_long_for_postgresql() -> None:
    for key in ("k", "k" * 900, "ü" * 900):
        for count in (1, 8, 300, 5_000):
            news = News()
            news.add([f"Ledger:{key}{n}" for n in range(count)], [], workflows=True)
            payload = news.notice("me")
            assert len(payload.encode()) <= PAYLOAD_LIMIT
            notice = Notice.model_validate_json(payload)
            assert notice.everything or len(notice.mail) == count


async def test_too_many_names_are_looked_for_all_the_same(postgres_url: str) -> None:
    many = [f"{n:04d}" + "k" * 200 for n in range(60)]  # over 8,000 bytes
    async with (
        running(postgres_url, pace=DEAF, ledgers=tuple(many)) as one,
        running(postgres_url, pace=DEAF) as two,
    ):
        await listening(postgres_url)
        async with watched(two, Ledger.at(many[-1])) as events:
            await one.ask(Ledger.at(many[0]), Relay(to=many, texts=["to all"]))
            assert "to all" in await next_of(events)


async def test_without_any_notice_the_sweep_brings_it(postgres_url: str) -> None:
    mute = Pace(coalesce=NEVER)
    async with (
        running(postgres_url, pace=mute) as one,
        running(postgres_url, pace=mute) as two,
        watched(two, B) as events,
    ):
        await one.ask(A, Relay(to=["b"], texts=["told"]))
        assert "told" in await next_of(events)
        send(postgres_url, B, "of a replica that died", seq=1)
        assert "died" in await next_of(events)


async def test_a_cut_listener_comes_back_and_has_missed_nothing(postgres_url: str) -> None:
    async with running(postgres_url, pace=DEAF) as one, running(postgres_url, pace=DEAF) as two:
        await listening(postgres_url)
        async with watched(two, A) as events:
            await one.ask(A, Note(text="before"))
            await next_of(events)
            gone = await cut(postgres_url, "foundry listener")
            await one.ask(A, Note(text="while it was cut"))
            assert "while it was cut" in await next_of(events)
            await eventually(
                lambda: backends(postgres_url, "foundry listener"), lambda now: len(now) == 2 and not now & gone
            )
            await one.ask(A, Note(text="afterwards"))
            assert "afterwards" in await next_of(events)
            assert two.stuck() is None


async def test_a_cut_notifier_says_later_that_there_is_something(postgres_url: str) -> None:
    async with running(postgres_url, pace=DEAF) as one, running(postgres_url, pace=DEAF) as two:
        await listening(postgres_url)
        async with watched(two, A) as events:
            await one.ask(A, Note(text="before"))
            await next_of(events)
            await cut(postgres_url, "foundry notifier")
            await one.ask(A, Note(text="while it was cut"))
            assert "while it was cut" in await next_of(events)


async def test_cut_again_and_again_nothing_is_lost(postgres_url: str) -> None:
    async with running(postgres_url) as one, running(postgres_url) as two:
        await listening(postgres_url)
        async with watched(two, A) as events:
            await one.ask(A, Note(text="the notifier connects"))
            await next_of(events)
            for number in range(3):
                await cut(postgres_url, "foundry listener")
                await cut(postgres_url, "foundry notifier")
                await one.ask(A, Note(text=f"number {number}"))
                assert f"number {number}" in await next_of(events)


@workflow(owner="Ledger", scope=Scope.APP, steps=("note",))
async def note_it(flow: Flow, job: Job) -> None:
    await flow.ask("note", flow.owner, Note(author="note_it", text=job.text))


@pytest.mark.slow
async def test_a_workflow_that_another_replica_started_begins(postgres_url: str) -> None:
    """The starter has no workflows of its own here, as if it died right after its commit."""
    slow = Pace(sweep=NEVER, look=NEVER, renew=NEVER, term=2 * NEVER)
    declared = house(Workflows().add(note_it))
    async with running(postgres_url, declared, pace=slow) as two, running(postgres_url, pace=slow) as one:
        await listening(postgres_url)
        await one.ask(A, Begin(workflow="note_it", text="done"))
        await eventually(lambda: two.read(texts, "a"), lambda notes: notes == [("note_it", "done")], limit=20)


@pytest.mark.slow
async def test_without_any_notice_the_sweep_begins_a_workflow(postgres_url: str) -> None:
    mute = Pace(coalesce=NEVER, look=NEVER, renew=NEVER, term=2 * NEVER)
    declared = house(Workflows().add(note_it))
    async with running(postgres_url, declared, pace=mute) as two, running(postgres_url, pace=mute) as one:
        await listening(postgres_url)
        await one.ask(A, Begin(workflow="note_it", text="done"))
        await eventually(lambda: two.read(texts, "a"), lambda notes: notes == [("note_it", "done")])


async def test_sqlite_has_no_notices(tmp_path: object) -> None:
    async with running(f"sqlite:///{tmp_path}/foundry.db") as runtime:
        await runtime.ask(A, Burst(count=1))
        assert not [task for task in asyncio.all_tasks() if task.get_name() in ("notifier", "listener")]
