"""What is recorded of sandboxes beside what their provider has, and what they take: at the start, and every minute.

| recorded | at the provider | what is done |
|---|---|---|
| there | not there | its task is notified and makes another one |
| three or more there | none there | an issue, and nothing automatic: this is probably the wrong provider |
| deleted | there | a create or a delete that was cut off: it is deleted |
| lost, or not at all | there | nothing, for work may be in it: an issue, until it is gone or somebody has it removed |

One that is recorded as being created is left to its workflow. What they take on disk: `measuring.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from foundry.actors.sandbox_instance.disk_usage import Measuring
from foundry.actors.sandbox_instance.views import standing
from foundry.contracts import addresses
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.issues import IssueKind
from foundry.contracts.sandbox_instance import Orphan, OrphansSeen, SandboxState, SandboxVanished
from foundry.runtime.upkeep.condition_issue import StandingIssue
from foundry.runtime.worker.supervisor import Job, WorkerKind, once

MEASURED = 10  # of these times until a sandbox is measured again
TOO_MANY = 3  # sandboxes; if at least so many are recorded and all are missing, none is replaced automatically

REMEDY = (
    "See that the data directory is the right one and its disk is there. If they are lost, a message to a task makes "
    "it a new one, with the last checkpoint."
)

log = structlog.get_logger("foundry.sandbox")


def reconciler(every: float, min_free: int = 0) -> WorkerKind:
    """One for the whole of Foundry, so it hangs on its root.

    Args:
        every: seconds.
        min_free: bytes; with less room on the sandboxes' disk an issue is recorded. 0: never.
    """

    async def run(job: Job) -> None:
        measuring, orphans, away = Measuring(every * MEASURED, min_free), Orphans(), ""
        all_missing = StandingIssue(IssueKind.SANDBOXES_MISSING, "sandboxes missing", REMEDY)
        while True:
            try:
                strange = await reconcile(job, all_missing)
                await measuring.measure(job, strange)
                await measuring.look_for_room(job)
                await orphans.tell(job, strange, measuring.sizes)
                away = ""
            except FoundryError as error:
                if error.detail != away:
                    log.warning("sandboxes cannot be compared with their provider's", reason=error.detail)
                away = error.detail
            await asyncio.sleep(every)

    return WorkerKind("AppShell", once(addresses.app_shell()), run, name="sandboxes")


async def reconcile(job: Job, all_missing: StandingIssue) -> list[SandboxId]:
    """Compare once. Return the sandboxes that exist without a record."""
    recorded = await job.read(standing)
    ended = (SandboxState.CREATING, SandboxState.LOST, SandboxState.DELETED)
    expected = [one for one, state in recorded.items() if state not in ended]
    found = await job.doors.sandboxes.compare(expected)
    elsewhere = len(found.missing) >= TOO_MANY and len(found.missing) == len(expected)
    said = f"The provider has none of the {len(expected)} sandboxes that are recorded." if elsewhere else ""
    await all_missing.tell(job, addresses.app_shell(), said)
    for sandbox in () if elsewhere else found.missing:
        await job.ask(addresses.sandbox(sandbox), SandboxVanished())
    now = await job.read(standing) if found.unknown else {}  # those that were made meanwhile are known by now
    for sandbox in found.unknown:
        if now.get(sandbox) is SandboxState.DELETED:
            await job.doors.sandboxes.delete(sandbox)
            log.info("deleted what was left of a sandbox", sandbox=sandbox)
    return [one for one in found.unknown if now.get(one) in (None, SandboxState.LOST)]


class Orphans:
    """The sandboxes that exist and that nobody uses: told, and removed where somebody asked for that."""

    def __init__(self) -> None:
        self._told: Sequence[SandboxId] | None = None  # a server that was just started does not know
        self._failures: dict[SandboxId, str] = {}

    async def tell(self, job: Job, strange: Sequence[SandboxId], sizes: Mapping[SandboxId, int | None]) -> None:
        """Nothing is asked while there are none."""
        if not strange and self._told == strange:
            return
        if set(strange) - set(self._told or ()):
            log.warning("sandboxes that nobody knows", sandboxes=strange)
        unwanted = await self._say(job, strange, sizes)
        gone = [one for one in unwanted if await self._removed(job, one)]
        self._told = [one for one in strange if one not in gone]
        if unwanted:
            await self._say(job, self._told, sizes)

    async def _say(
        self, job: Job, strange: Sequence[SandboxId], sizes: Mapping[SandboxId, int | None]
    ) -> list[SandboxId]:
        seen = [Orphan(id=one, disk=sizes.get(one), failure=self._failures.get(one, "")) for one in strange]
        return await job.ask(addresses.app_shell(), OrphansSeen(orphans=seen))

    async def _removed(self, job: Job, orphan: SandboxId) -> bool:
        """Delete it; one that cannot be is tried again in the next round."""
        self._failures.pop(orphan, None)
        if (await job.read(standing)).get(orphan) not in (None, SandboxState.LOST):
            return True
        try:
            await job.doors.sandboxes.delete(orphan)
        except FoundryError as error:
            self._failures[orphan] = error.detail
            log.warning("an orphan could not be removed", sandbox=orphan, reason=error.detail)
            return False
        log.info("removed a sandbox that nobody used", sandbox=orphan)
        return True
