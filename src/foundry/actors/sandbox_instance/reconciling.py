"""What is recorded of sandboxes beside what their provider has: at the start, and every minute.

| recorded | at the provider | what is done |
|---|---|---|
| there | not there | its task hears of it, and makes another one |
| three or more there | none there | an issue, and nothing by itself: more likely this is the wrong place |
| deleted | there | a create or a delete that was cut off: it is deleted |
| lost, or not at all | there | nothing, for work may be in it: it is logged |

One that is recorded as being created is left to its workflow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from foundry.actors.sandbox_instance.views import standing
from foundry.contracts import addresses
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.issues import EndTrouble, IssueKind, RecordTrouble, Trouble
from foundry.contracts.sandbox_words import SandboxState, SandboxVanished
from foundry.contracts.words import APP, ScopeId
from foundry.runtime.turn import Reader
from foundry.runtime.worker import Job, WorkerKind

TOO_MANY = 3  # sandboxes; where all of so many are missing, they are not replaced by themselves

ALL_MISSING = "sandboxes missing"

log = structlog.get_logger("foundry.sandbox")


def reconciler(every: float) -> WorkerKind:
    """One for the whole of Foundry, so it hangs on its root."""

    async def run(job: Job) -> None:
        told: set[SandboxId] = set()
        away = ""
        while True:
            try:
                strange = set(await reconcile(job))
            except FoundryError as error:
                if error.detail != away:
                    log.warning("sandboxes cannot be compared with their provider's", reason=error.detail)
                away = error.detail
            else:
                if strange - told:
                    log.warning("sandboxes that nobody knows", sandboxes=sorted(strange - told))
                told, away = strange, ""
            await asyncio.sleep(every)

    return WorkerKind("AppShell", wanted, run, name="sandboxes")


def wanted(reader: Reader) -> Sequence[str]:
    root = addresses.app_shell()
    return [root.key] if reader.exists(root) else []


async def reconcile(job: Job) -> list[SandboxId]:
    """Compare once; gives those that exist and that nobody knows."""
    recorded = await job.read(standing)
    ended = (SandboxState.CREATING, SandboxState.LOST, SandboxState.DELETED)
    expected = [one for one, state in recorded.items() if state not in ended]
    found = await job.doors.sandboxes.compare(expected)
    if len(found.missing) >= TOO_MANY and len(found.missing) == len(expected):
        await job.ask(addresses.app_shell(), RecordTrouble(trouble=_all_missing(len(found.missing))))
    else:
        await job.ask(addresses.app_shell(), EndTrouble(fingerprint=ALL_MISSING))
        for sandbox in found.missing:
            await job.ask(addresses.sandbox(sandbox), SandboxVanished())
    now = await job.read(standing) if found.unknown else {}  # those that were made meanwhile are known by now
    for sandbox in found.unknown:
        if now.get(sandbox) is SandboxState.DELETED:
            await job.doors.sandboxes.delete(sandbox)
            log.info("deleted what was left of a sandbox", sandbox=sandbox)
    return [one for one in found.unknown if now.get(one) in (None, SandboxState.LOST)]


def _all_missing(number: int) -> Trouble:
    return Trouble(
        kind=IssueKind.SANDBOXES_MISSING,
        actor=str(addresses.app_shell()),
        scope=ScopeId(APP),
        fingerprint=ALL_MISSING,
        code=IssueKind.SANDBOXES_MISSING.value,
        message=f"The provider has none of the {number} sandboxes that are recorded.",
        remedy="See that the data directory is the right one and its disk is there. If they are lost, a message to a "
        "task makes it a new one, with the last checkpoint.",
    )
