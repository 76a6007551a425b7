"""What an inspection shows: everything the runtime holds, as it stands, also while the writer is stuck."""

from __future__ import annotations

import asyncio
import threading

from foundry.runtime.store.base import Transaction
from foundry.runtime.store.blobs import Blobs
from foundry.runtime.upkeep.inspection import inspection
from foundry.runtime.workflow.flow import Flow, Scope, Workflows, workflow
from tests.runtime.toys import Begin, Close, Job, Ledger, Relay, Remind, house, running
from tests.waiting import eventually

A, B = Ledger.at("a"), Ledger.at("b")


class Door:
    def __init__(self) -> None:
        self.open = asyncio.Event()

    async def slow(self) -> None:
        await self.open.wait()

    async def done(self) -> None: ...


@workflow(owner="Ledger", scope=Scope.APP, steps=("first", "second"))
async def waits(flow: Flow, job: Job) -> None:
    door: Door = flow.doors  # type: ignore[assignment]
    await flow.do("first", door.done)
    await flow.do("second", door.slow)


async def test_it_shows_what_is_held(store_url: str) -> None:
    async with running(store_url, house(Workflows().add(waits)), Door()) as runtime:
        started = await runtime.ask(A, Begin(workflow="waits"))
        await runtime.ask(A, Remind(milliseconds=3_600_000))
        await runtime.ask(Ledger.at("c"), Close())
        await Blobs(runtime).write("checkpoint/one/bundle", b"12345")
        await Blobs(runtime).write("checkpoint/two/bundle", b"678")
        await runtime.ask(A, Relay(to=["b"], texts=["one", "two"], fail_there=True))
        await eventually(lambda: steps(runtime), lambda names: names[-1:] == ["first"])  # type: ignore[arg-type]
        await eventually(runtime.inspect, lambda seen: seen.mailboxes)  # type: ignore[arg-type]
        seen = await runtime.inspect()
        assert {(k.kind, k.alive, k.ended) for k in seen.actors} >= {("Ledger", 2, 1), ("Coordinator", 1, 0)}
        (mail,) = seen.mailboxes
        assert (mail.receiver, mail.waiting, mail.set_aside) == (str(B), 2, 0)
        (work,) = seen.workflows
        assert (work.id, work.name, work.owner) == (started, "waits", str(A))
        assert (work.status, work.executor, work.crashes) == ("PENDING", runtime.executor, 0)
        assert f"replica:{runtime.executor}" in {lease.name for lease in seen.leases if lease.left > 0}
        (plan,) = seen.schedules
        assert (plan.actor, plan.name) == (str(A), "reminder")
        assert 3500 < plan.due_in <= 3600
        assert [(b.kind, b.count, b.size) for b in seen.blobs] == [("checkpoint", 2, 8)]
        assert (seen.cut, seen.stuck, seen.executor) == ([], "", runtime.executor)


async def steps(runtime: object) -> list[str]:
    return [s.name for w in (await runtime.inspect()).workflows for s in w.steps]  # type: ignore[attr-defined]


async def test_a_letter_set_aside_is_named_with_its_error(store_url: str) -> None:
    async with running(store_url) as runtime:
        await runtime.ask(A, Relay(to=["b"], texts=["one"], fail_there=True))
        await eventually(runtime.inspect, lambda seen: seen.mailboxes)  # type: ignore[arg-type]

        def aside(tx: Transaction) -> None:
            tx.execute("UPDATE mailbox SET set_aside_at=?, error=?", tx.now, "Bad: never\nand a traceback")

        await runtime.system(B, aside)
        seen = await runtime.inspect()
        (letter,) = seen.set_aside
        assert (letter.receiver, letter.word, letter.error) == (str(B), "Noted", "Bad: never")
        assert [(m.waiting, m.set_aside, m.oldest) for m in seen.mailboxes] == [(0, 1, 0.0)]


async def test_a_list_that_is_cut_is_named(store_url: str) -> None:
    async with running(store_url) as runtime:
        for ledger in "ab":
            await runtime.ask(Ledger.at(ledger), Remind(milliseconds=3_600_000))
        seen = await runtime.read(inspection, 0, "run_1", 1)
        assert (len(seen.schedules), seen.cut) == (1, ["schedules"])


async def test_it_answers_while_the_writer_is_stuck(store_url: str) -> None:
    over = threading.Event()
    async with running(store_url) as runtime:
        stuck = asyncio.create_task(runtime.system(A, lambda tx: over.wait(20)))
        try:
            async with asyncio.timeout(5):
                assert (await runtime.inspect()).actors
            assert not stuck.done()
        finally:
            over.set()
            await stuck
