"""When a runtime is idle: nothing more happens automatically. It proves "nothing comes" without sleeping."""

from __future__ import annotations

from sqlalchemy import select

from foundry.runtime.reader import Reader
from foundry.runtime.runtime import Runtime
from foundry.runtime.store.tables import mailbox, schedules
from foundry.runtime.workflow.workflow_rows import start_rows
from tests.waiting import eventually

QUIET = 20.0  # seconds until everything that was started has ended, on 2 busy cores


async def quiet(runtime: Runtime, limit: float = QUIET) -> None:
    """Wait until no message waits, no workflow runs and no schedule is due."""
    await eventually(lambda: under_way(runtime), lambda found: not found, limit=limit)


async def under_way(runtime: Runtime, held: int = 0) -> list[str]:
    """What is still under way, from one snapshot of the runtime's tables.

    Args:
        held: how many workflows wait for the test itself; while no others run, the runtime is idle.
    """

    def look(reader: Reader) -> list[str]:
        now = runtime.store.now(reader._connection)
        mail = reader.all(select(mailbox.c.receiver, mailbox.c.word).where(mailbox.c.set_aside_at.is_(None)))
        due = reader.all(select(schedules.c.actor, schedules.c.name).where(schedules.c.due_at <= now))
        running = [f"{row.name} of {row.owner}" for row in start_rows(reader)] if runtime.flows else []
        return [
            *(f"{row.word} to {row.receiver}" for row in mail),
            *(running if len(running) > held else ()),
            *(f"{row.name} of {row.actor}" for row in due),
        ]

    return await runtime.read(look)
