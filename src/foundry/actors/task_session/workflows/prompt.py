"""Giving the agent a prompt: at most once.

The turn that was granted the work tree has marked the message as sending and chosen the JSON-RPC id.

| step | owner | id chosen before | evidence on repeat | release |
|---|---|---|---|---|
| gathering context | TaskSession's view | | recorded | |
| claiming | | | recorded: a later run of the workflow does not claim | |
| sending the prompt | agents' door | the JSON-RPC id | a repeat never sends; the stream may show the turn | stop |
| sent | TaskSession | | the turn's key | |
"""

from __future__ import annotations

import asyncio

import structlog

from foundry.actors.task_session.jobs import SendPrompt, introduced
from foundry.actors.task_session.views import recent
from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError
from foundry.contracts.sandbox_provider import AgentRefused
from foundry.contracts.session_stream import PromptDoubtful, PromptSent, PromptUnknown
from foundry.runtime.workflow.flow import Flow, Scope, workflow

STEPS = ("gathering context", "claiming", "sending the prompt", "sent")
RELEASES = {"sending the prompt": "stop"}

SEND_TRIES = 5  # only if the request was certainly not sent
SEND_LIMIT = 25.0  # seconds; below the step's own deadline, which would try again

log = structlog.get_logger("foundry.session")


@workflow(owner="TaskSession", scope=Scope.ORGANIZATION, steps=STEPS, releases=RELEASES)
async def prompt(flow: Flow, job: SendPrompt) -> None:
    text = job.text
    if job.context_without is not None:
        context = await flow.read("gathering context", recent, job.session, job.context_without)
        text = introduced(context, job.text) if context else job.text

    # A step that was recorded does not run again, so after a crash `claimed` stays empty: it may have been sent.
    claimed: list[bool] = []

    async def claim() -> None:
        claimed.append(True)

    await flow.do("claiming", claim)
    sent = await flow.do("sending the prompt", send, flow.doors, job, text, bool(claimed), tries=SEND_TRIES)
    outcome = PromptSent(message=job.message) if sent else PromptUnknown(message=job.message)
    await flow.ask("sent", addresses.session(job.session), outcome)


async def send(doors: Doors, job: SendPrompt, text: str, first: bool) -> bool:
    """True: the server has it. False: it may have it.

    Raises:
        SandboxUnreachable: it was certainly not sent; it is tried again.
        AcpServerGone: there is no such server, so no agent to take it.
    """
    if not first:
        return False
    try:
        async with asyncio.timeout(SEND_LIMIT):
            await doors.agents.prompt(job.sandbox, job.agent_session, job.rpc_id, text)
    except AgentRefused:
        return True  # the stream has the same answer
    except PromptDoubtful:
        return False
    except FoundryError:
        raise
    except Exception:  # no answer in time, or a defect: it may have been sent, so it is not tried again
        log.warning("a prompt was cut off", session=job.session, message=job.message, exc_info=True)
        return False
    return True
