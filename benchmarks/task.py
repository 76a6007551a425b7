"""What one task costs: messages, recorded steps, events. They are counted, so they do not depend on the machine."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine, func, select, text
from tests.runtime.toys import workflow_url
from tests.waiting import eventually
from tests.world.outside import Scripted
from tests.world.world import World, world

from benchmarks.rows import Row, row, tried
from foundry.runtime.store.tables import actors, events, mailbox, workflows

DIFF = 100_000  # characters that the agent changed


@dataclass(frozen=True)
class Cost:
    """All that was counted since the database was made."""

    messages: int  # that actors took
    steps: int  # that workflows recorded
    events: int
    bytes: int  # of the events' JSON


async def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as home:
        cost = await tried(of_one_task(f"sqlite:///{Path(home)}/foundry.db"))
    what = f"one task with a diff of {DIFF // 1000} KB, create to idle and saved"
    units = {"messages": "messages", "steps": "recorded steps", "events": "events", "bytes": "bytes of events"}
    found = vars(cost) if isinstance(cost, Cost) else dict.fromkeys(units, cost)
    return [row(f"{what}: {unit}", found[name], unit) for name, unit in units.items()]


async def of_one_task(url: str) -> Cost:
    """A task's first turn of its agent, of the outside only what a stand-in gives at once."""
    outside = Scripted()
    outside.work = outside.work.model_copy(update={"diff": "x" * DIFF, "commits_ahead": 1})
    async with world(url, outside) as tree:
        await at_rest(tree)
        before = await counted(tree, url)
        task = await tree.create("Do it")
        await eventually(lambda: bool(outside.prompts))
        outside.end_turn()
        await tree.until(task, lambda found: found.activity == "idle" and not found.saving and found.checkpoint > 0)
        await at_rest(tree)
        after = await counted(tree, url)
    return Cost(*(late - early for early, late in zip(vars(before).values(), vars(after).values(), strict=True)))


async def at_rest(tree: World) -> None:
    """No message waits, and no workflow runs."""

    async def quiet() -> bool:
        under_way = select(mailbox.c.id).union_all(select(workflows.c.id))
        return await tree.runtime.read(lambda reader: reader.first(under_way)) is None

    await eventually(quiet)


async def counted(tree: World, url: str) -> Cost:
    taken = await tree.runtime.read(lambda reader: reader.first(select(func.sum(actors.c.seq))))
    told = await tree.runtime.read(
        lambda reader: reader.first(select(func.count(), func.coalesce(func.sum(func.length(events.c.body)), 0)))
    )
    with create_engine(workflow_url(url)).connect() as dbos:
        steps = dbos.execute(text("SELECT count(*) FROM operation_outputs")).scalar_one()
    assert taken is not None
    assert told is not None
    return Cost(taken[0], steps, told[0], told[1])
