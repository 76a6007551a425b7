"""Read the end of sandbox-agent's log into the sandbox's state."""

from __future__ import annotations

from foundry.actors.sandbox_instance.jobs import FetchLog
from foundry.contracts.ids import SandboxId
from foundry.contracts.sandbox_instance import LogSeen
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("reading the log",)


@workflow(owner="SandboxInstance", scope=Scope.ORGANIZATION, steps=STEPS)
async def fetch_log(flow: Flow, job: FetchLog) -> None:
    text = await flow.do("reading the log", flow.doors.sandboxes.log, SandboxId(job.sandbox))
    await flow.ask("reading the log", flow.owner, LogSeen(log=text))
