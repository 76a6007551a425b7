"""A workflow that one version has begun goes on under the next one: docs/decisions/0010."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from sqlalchemy import select

from foundry.contracts.messages import Command
from foundry.runtime.intervals import Pace
from foundry.runtime.reader import Reader
from foundry.runtime.runtime import House, Runtime
from foundry.runtime.store.base import Transaction
from foundry.runtime.store.tables import mailbox
from foundry.runtime.transactions import digest
from foundry.runtime.workflow.flow import Flow, Scope, Workflows, workflow
from foundry.runtime.workflow.workflow_rows import start_rows
from tests.harness.traps import Traps, sprung
from tests.runtime.toys import Begin, Job, Ledger, Note, Noted, all_failures, house, running, texts
from tests.waiting import eventually

pytestmark = pytest.mark.slow

LIMIT = 20.0  # seconds
SHORT = Pace(renew=0.2)
A, B = Ledger.at("a"), Ledger.at("b")


class Outside:
    """What is done to it is counted; what is held does not come back."""

    def __init__(self, *held: str) -> None:
        self.done: Counter[str] = Counter()
        self.held = set(held)

    async def act(self, what: str) -> None:
        self.done[what] += 1
        await eventually(lambda: what not in self.held, limit=LIMIT)


async def no_more(flow: Flow) -> bool:
    return False


async def where_patched(flow: Flow) -> bool:
    return await flow.patched("greeting")


async def once_patched(flow: Flow) -> bool:
    await flow.patch_ended("greeting")
    return True


async def always(flow: Flow) -> bool:
    return True


def version(greets: Callable[[Flow], Awaitable[bool]]) -> House:
    """A house whose workflow has one more step in its middle, or not."""

    @workflow(owner="Ledger", scope=Scope.APP, steps=("first", "greeting", "noting", "last"))
    async def walk(flow: Flow, job: Job) -> None:
        outside: Outside = flow.doors  # type: ignore[assignment]
        await flow.do("first", outside.act, "first")
        if await greets(flow):
            await flow.ask("greeting", flow.owner, Note(author="walk", text="greeted"))
        await flow.ask("noting", flow.owner, Note(author="walk", text="noted"))
        await flow.do("last", outside.act, "last")

    return house(Workflows().add(walk))


OLD, NEW, LATER, LATEST = version(no_more), version(where_patched), version(once_patched), version(always)


async def begun(runtime: Runtime, ledger: str, outside: Outside, step: str) -> None:
    """A workflow that stands in this step, which is held."""
    before = outside.done[step]
    await runtime.ask(Ledger.at(ledger), Begin(workflow="walk"))
    await eventually(lambda: outside.done[step], lambda n: n > before, limit=LIMIT)


async def ended(runtime: Runtime, ledger: str) -> list[str]:
    """What the workflow has noted once none is left."""
    await eventually(lambda: runtime.read(start_rows), lambda rows: rows == [], limit=LIMIT)
    assert await runtime.read(all_failures) == []
    return [note for author, note in await runtime.read(texts, ledger) if author == "walk"]


async def test_who_is_past_the_new_step_goes_on_without_it_and_new_ones_take_it(store_url: str) -> None:
    outside = Outside("last")
    async with running(store_url, OLD, outside) as runtime:
        await begun(runtime, "a", outside, "last")
    outside.held.clear()
    async with running(store_url, NEW, outside) as runtime:
        assert await ended(runtime, "a") == ["noted"]
        await runtime.ask(B, Begin(workflow="walk"))
        assert await ended(runtime, "b") == ["greeted", "noted"]
    assert outside.done == {"first": 2, "last": 3}, "only the step under way ran again"


async def test_who_has_not_come_to_the_new_step_takes_it(store_url: str) -> None:
    outside = Outside("first")
    async with running(store_url, OLD, outside) as runtime:
        await begun(runtime, "a", outside, "first")
    outside.held.clear()
    async with running(store_url, NEW, outside) as runtime:
        assert await ended(runtime, "a") == ["greeted", "noted"]


async def test_a_turn_whose_answer_was_lost_is_not_taken_again_behind_a_new_step(
    store_url: str, tmp_path: Path
) -> None:
    """Its key is its step's own: one that counted steps would be another one in a version with more of them."""
    traps = Traps(held={("walk", "noting", "ask")}, gate=tmp_path / "gate")
    (tmp_path / "gate").touch()
    outside = Outside()
    with sprung(traps):
        async with running(store_url, OLD, outside) as runtime:
            await runtime.ask(A, Begin(workflow="walk"))
            await eventually(lambda: runtime.read(texts, "a"), lambda notes: notes == [("walk", "noted")], limit=LIMIT)
    async with running(store_url, NEW, outside) as runtime:
        assert await ended(runtime, "a") == ["noted", "greeted"]


async def test_a_patch_ends_over_two_versions(store_url: str) -> None:
    """Who took the step behind the patch goes on where that is gone, and so on."""
    outside = Outside("last")
    for older, newer, ledger in ((NEW, LATER, "a"), (LATER, LATEST, "b")):
        outside.held.add("last")
        async with running(store_url, older, outside) as runtime:
            await begun(runtime, ledger, outside, "last")
        outside.held.clear()
        async with running(store_url, newer, outside) as runtime:
            assert await ended(runtime, ledger) == ["greeted", "noted"]


async def test_a_change_without_a_patch_is_said(store_url: str) -> None:
    outside = Outside("last")
    async with running(store_url, OLD, outside) as runtime:
        await begun(runtime, "a", outside, "last")
    async with running(store_url, LATEST, outside) as runtime:
        (issue,) = await eventually(lambda: runtime.read(all_failures), limit=LIMIT)
        assert "workflow_lost" in issue
        assert "begun by a version with other steps" in issue
        await eventually(lambda: runtime.read(start_rows), lambda rows: rows == [], limit=LIMIT)
        assert outside.done["last"] == 1


# replicas of two versions beside each other


def beside_another(tx: Transaction) -> None:
    tx.execute("INSERT INTO leases (name, holder, fencing, expires_at) VALUES ('replica:x','x',1,?)", tx.now * 2)


def without_it(tx: Transaction) -> None:
    tx.execute("UPDATE leases SET expires_at=1 WHERE name='replica:x'")


async def compared(runtime: Runtime) -> None:
    """It has looked at least once more at what is to be resumed."""

    def beat(tx: Transaction) -> int:
        return int(str(tx.execute("SELECT expires_at FROM leases WHERE name=?", f"replica:{runtime.executor}")[0][0]))

    first = await runtime.system(A, beat)
    await eventually(lambda: runtime.system(A, beat), lambda now: now > first + 2_000 * SHORT.renew, limit=LIMIT)


async def test_what_a_newer_replica_has_begun_waits_for_one(postgres_url: str) -> None:
    outside = Outside("last")
    async with running(postgres_url, NEW, outside) as runtime:
        await begun(runtime, "a", outside, "last")
        await runtime.system(A, beside_another)
    async with running(postgres_url, OLD, outside, pace=SHORT) as runtime:
        taken_up = [("PENDING", runtime.executor)]
        await eventually(lambda: held_by(runtime), lambda holds: holds == taken_up, limit=LIMIT)
        await compared(runtime)
        assert (await held_by(runtime), await runtime.read(all_failures)) == (taken_up, [])
    outside.held.clear()
    async with running(postgres_url, NEW, outside) as runtime:
        assert await ended(runtime, "a") == ["greeted", "noted"]


async def test_a_workflow_that_only_a_newer_replica_knows_is_left_to_it(postgres_url: str) -> None:
    async with running(postgres_url, house(Workflows().add(another)), pace=SHORT) as runtime:
        await runtime.system(A, beside_another)
        await runtime.ask(A, Begin(workflow="walk"))
        await compared(runtime)
        assert (await held_by(runtime), await runtime.read(all_failures)) == ([("", "")], [])
        await runtime.system(A, without_it)
        (issue,) = await eventually(lambda: runtime.read(all_failures), limit=LIMIT)
        assert "this version knows no workflow walk" in issue


class Old(Command[None]):
    text: str
    inner: Job


class NewJob(Job):
    mood: str = ""


class New(Command[None]):
    text: str
    inner: NewJob
    mood: str = ""


def test_what_a_newer_version_wrote_is_read_without_what_it_added() -> None:
    new = New(text="x", inner=NewJob(text="y", mood="glad"), mood="glad")
    assert Old.model_validate_json(new.model_dump_json()) == Old(text="x", inner=Job(text="y"))
    with pytest.raises(ValidationError):
        Old(text="x", inner=Job(), mood="glad")  # type: ignore[call-arg]


def test_a_repeat_is_the_same_command_in_a_version_with_more_fields() -> None:
    old = digest(Old(text="x", inner=Job(text="y")))
    assert digest(New(text="x", inner=NewJob(text="y"))) == old
    assert digest(New(text="x", inner=NewJob(text="y"), mood="glad")) != old


async def test_a_word_that_only_a_newer_replica_knows_is_left_to_it(store_url: str) -> None:
    """Only that sender's later messages wait for it; with nobody else about it fails as any message may."""
    async with running(store_url, pace=SHORT) as runtime:
        await runtime.system(A, beside_another)
        await runtime.system(A, lambda tx: post(tx, "Ledger:x", 1, "NotedAnew"))
        await runtime.system(A, lambda tx: post(tx, "Ledger:x", 2, "Noted"))
        for number in range(3):
            await runtime.system(A, lambda tx, n=number: post(tx, "Ledger:y", n, "Noted"))
            await eventually(lambda: runtime.read(texts, "a"), lambda notes, n=number: len(notes) == n + 1, limit=LIMIT)
        assert await runtime.read(tries) == [0, 0], "it was tried"
        await runtime.system(A, without_it)
        await eventually(lambda: runtime.read(tries), lambda now: now[0] > 0, limit=LIMIT)


def post(tx: Transaction, sender: str, seq: int, word: str) -> None:
    body = Noted(author=sender, text=str(seq)).model_dump_json()
    row = "INSERT INTO mailbox (receiver, sender, seq, word, body, sent_at) VALUES ('Ledger:a',?,?,?,?,?)"
    tx.execute(row, sender, seq, word, body, tx.now)


def tries(reader: Reader) -> list[int]:
    return [row.tries for row in reader.all(select(mailbox).order_by(mailbox.c.id))]


@workflow(owner="Ledger", scope=Scope.APP, steps=("only",))
async def another(flow: Flow, job: Job) -> None: ...


async def held_by(runtime: Runtime) -> list[tuple[str, str]]:
    """DBOS's word for each workflow, and who has it."""
    return [(seen.status, seen.executor) for seen in (await runtime.inspect()).workflows]
