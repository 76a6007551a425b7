"""What waits beyond its time says so, although it costs no try."""

from __future__ import annotations

import json

import psycopg

from foundry.contracts.issues import Failure, IssueKind
from foundry.runtime.intervals import Pace
from foundry.runtime.runtime import Runtime
from tests.runtime.toys import Ledger, Relay, all_failures, running, texts
from tests.waiting import eventually

A, B = Ledger.at("a"), Ledger.at("b")
SOON = Pace(overdue=0.6)


async def said(runtime: Runtime) -> list[Failure]:
    return [Failure.model_validate(json.loads(body)) for body in await runtime.read(all_failures)]


async def test_a_message_that_somebody_elses_lock_holds_up(postgres_url: str) -> None:
    async with running(postgres_url, pace=SOON) as runtime:
        with psycopg.connect(postgres_url) as other:
            other.execute("SELECT 1 FROM actors WHERE actor = %s FOR UPDATE", (str(B),))
            await runtime.ask(A, Relay(to=["b"], texts=["Hello"]))
            (failure,) = await eventually(lambda: said(runtime))
            assert failure.kind is IssueKind.OVERDUE
            assert str(B) in failure.message
            other.rollback()
        await eventually(lambda: runtime.read(texts, "b"), lambda found: len(found) == 1, limit=20)
        await eventually(lambda: said(runtime), lambda found: found == [], limit=20)


async def test_a_schedule_of_a_kind_that_nobody_knows(store_url: str) -> None:
    async with running(store_url, pace=SOON) as runtime:
        await runtime.system(
            A,
            lambda tx: tx.execute(
                "INSERT INTO schedules (actor, name, due_at, generation) VALUES ('Newer:x','look',?,1)", tx.now
            ),
        )
        (failure,) = await eventually(lambda: said(runtime))
        assert "Newer:x" in failure.message
        await runtime.system(A, lambda tx: tx.execute("DELETE FROM schedules WHERE actor='Newer:x'"))
        await eventually(lambda: said(runtime), lambda found: found == [])
