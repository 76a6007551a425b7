"""What sandboxes take on disk, and whether there is room left: measured now and then, told only when it matters.

One is measured after the other, each at most every `every` seconds, and a round ends once it took `ROUND` seconds: the
rest has its turn in the next. What has hardly changed is not told, so a sandbox at rest causes no turn.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from foundry.actors.sandbox_instance.views import existing
from foundry.contracts import addresses
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.inspection import SandboxSeen
from foundry.contracts.issues import IssueKind
from foundry.contracts.sandbox_instance import DiskSeen
from foundry.contracts.sandbox_provider import Room
from foundry.contracts.sizes import human
from foundry.runtime.upkeep.condition_issue import StandingIssue
from foundry.runtime.worker.supervisor import Job

ROUND = 30.0  # seconds
LITTLE = 1_000_000  # bytes; a smaller change, or one of less than a twentieth, is not reported
NAMED = 3  # of the biggest sandboxes in the issue

REMEDY = "Archive tasks that are done, or make room otherwise; `foundry sandbox list` tells what each takes."


class Measuring:
    """What was measured, and when.

    Args:
        every: seconds between two looks at one sandbox.
        min_free: bytes; with less room an issue is recorded. 0: never.
    """

    def __init__(self, every: float, min_free: int) -> None:
        self._every = every
        self._min_free = min_free
        self._at: dict[SandboxId, float] = {}  # monotonic seconds
        self._low = StandingIssue(IssueKind.DISK_LOW, "disk low", REMEDY)
        self.sizes: dict[SandboxId, int | None] = {}

    async def measure(self, job: Job, orphans: Sequence[SandboxId]) -> None:
        """Those that are due, the one that has waited longest first."""
        told = {one.id: one.disk for one in await job.read(existing)}
        there = {*told, *orphans}
        self._at = {id: at for id, at in self._at.items() if id in there}
        self.sizes = {id: size for id, size in self.sizes.items() if id in there}
        began = time.monotonic()
        waiting = sorted((id for id in there if self._due(id, began)), key=lambda id: (self._at.get(id, 0.0), id))
        for id in waiting:
            if time.monotonic() - began > ROUND:
                break
            self.sizes[id] = size = await self._size(job, id)
            self._at[id] = time.monotonic()
            if id in told and size is not None and notable(told[id], size):
                await job.ask(addresses.sandbox(id), DiskSeen(disk=size))

    async def look_for_room(self, job: Job) -> None:
        """An issue stands while there is too little, and names who takes most."""
        room, said = await job.doors.sandboxes.room(), ""
        if room is not None and room.free < self._min_free:
            said = _low(room, self._min_free, biggest(await job.read(existing), self.sizes))
        await self._low.tell(job, addresses.app_shell(), said)

    def _due(self, id: SandboxId, now: float) -> bool:
        return id not in self._at or now - self._at[id] >= self._every

    async def _size(self, job: Job, id: SandboxId) -> int | None:
        try:
            return await job.doors.sandboxes.usage(id)
        except FoundryError:  # it has just gone, or its provider is away: the next look tells
            return None


def notable(before: int | None, now: int) -> bool:
    """Return True if the change is large enough to report."""
    return before is None or abs(now - before) >= max(LITTLE, before / 20)


def biggest(known: Sequence[SandboxSeen], sizes: Mapping[SandboxId, int | None]) -> list[str]:
    """The sandboxes that take most, orphans too, in words."""
    tasks = {one.id: one for one in known}
    found = {one.id: one.disk or 0 for one in known} | {id: size or 0 for id, size in sizes.items() if id not in tasks}
    most = sorted((id for id in found if found[id]), key=lambda id: (-found[id], id))[:NAMED]
    return [f"{id} ({human(found[id])}, " + (f"task {tasks[id].task})" if id in tasks else "nobody's)") for id in most]


def _low(room: Room, limit: int, most: Sequence[str]) -> str:
    named = f" The biggest sandboxes: {', '.join(most)}." if most else ""
    return f"The disk that sandboxes lie on has {human(room.free)} left, less than {human(limit)}.{named}"
