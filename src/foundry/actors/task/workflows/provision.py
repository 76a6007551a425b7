"""Provisioning: from a prompt to a sandbox with the branch checked out. docs/states.md has the table.

Every phase is two steps: the turn that shows it, and the one external thing. All ids (sandbox, session, and from
the first step on the branch) were chosen by the Task before, so a step that runs again finds what it made.
The agent's session is opened by TaskSession's own workflow, which the last turn here sets going.
"""

from __future__ import annotations

import structlog

from foundry.actors.task.jobs import OfTask
from foundry.actors.task.views import beginning, provisioning
from foundry.actors.task.workflows.steps import LONG_DEADLINE
from foundry.contracts import addresses
from foundry.contracts.branch_names import branch_from
from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.repository import ReserveBranch
from foundry.contracts.sandbox_instance import CreateSandbox, SandboxMoved, SandboxState
from foundry.contracts.task import BeginPhase, Named, Phase, Provisioned, TaskView
from foundry.contracts.task_checkpoints import checkpoint_key
from foundry.contracts.task_provisioning import Beginning
from foundry.runtime.workflow.flow import Flow, Scope, workflow

log = structlog.get_logger("foundry.task")

STEPS = (
    "reading the task",
    "naming",
    "creating sandbox",
    "starting sandbox-agent",
    "waiting for health",
    "cloning",
    "restoring the work",
    "installing agent",
    "creating session",
)
RECOVERY_STEPS = tuple(step for step in STEPS if step != "naming")
RELEASES = {"creating sandbox": "release"}

HEALTH_DEADLINE = 30.0  # seconds; a cold sandbox-agent answers well within one


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS, releases=RELEASES)
async def provision(flow: Flow, job: OfTask) -> None:
    await _provision(flow, job)


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=RECOVERY_STEPS, releases=RELEASES)
async def recovery(flow: Flow, job: OfTask) -> None:
    """The same for a task whose sandbox was lost; its branch has its name."""
    await _provision(flow, job)


async def _provision(flow: Flow, job: OfTask) -> None:
    me, sandboxes = flow.owner, flow.doors.sandboxes
    known = await flow.read("reading the task", provisioning, job.task)
    task, lost = known.task, known.lost
    sandbox = task.sandbox
    assert sandbox
    box = addresses.sandbox(sandbox)
    if lost is not None:
        await flow.do("reading the task", end_what_is_left, flow.doors, lost)

    if not task.branch and task.phase is not Phase.NAMING:  # a retry
        await flow.ask("naming", me, BeginPhase(phase=Phase.NAMING))
    branch = await _name(flow, task)

    if task.branch:  # otherwise the naming step has started the phase
        await flow.ask("creating sandbox", me, BeginPhase(phase=Phase.CREATING_SANDBOX))
    organization = addresses.organization(task.repository.organization)
    create = CreateSandbox(parent=organization, scope=flow.scope, id=sandbox, task=job.task)
    await flow.ask("creating sandbox", box, create)
    agents = sorted({session.agent for session in task.sessions})
    made = await flow.do("creating sandbox", sandboxes.create, sandbox, agents)
    moved = SandboxMoved(state=SandboxState.STARTING, provider=made.provider, warning=made.warning)
    await flow.ask("creating sandbox", box, moved)

    await flow.ask("starting sandbox-agent", me, BeginPhase(phase=Phase.STARTING_AGENT_SERVER))
    endpoint = await flow.do("starting sandbox-agent", sandboxes.start, sandbox)
    await flow.ask("starting sandbox-agent", box, SandboxMoved(state=SandboxState.STARTING, endpoint=endpoint))

    await flow.ask("waiting for health", me, BeginPhase(phase=Phase.WAITING_FOR_HEALTH))
    await flow.do("waiting for health", sandboxes.wait_healthy, sandbox, deadline=HEALTH_DEADLINE)
    await flow.ask("waiting for health", box, SandboxMoved(state=SandboxState.RUNNING, endpoint=endpoint))

    await flow.ask("cloning", me, BeginPhase(phase=Phase.CLONING))
    await flow.do("cloning", clone, flow.doors, task, sandbox, branch, deadline=LONG_DEADLINE)

    note = ""
    if task.begins_from is not None:
        await flow.ask("restoring the work", me, BeginPhase(phase=Phase.RESTORING))
        start = await flow.read("restoring the work", beginning, job.task)
        note = await flow.do("restoring the work", begin_from, flow.doors, task, start, deadline=LONG_DEADLINE)

    await flow.ask("installing agent", me, BeginPhase(phase=Phase.INSTALLING_AGENT))
    for agent in agents:
        await flow.do("installing agent", sandboxes.install_agent, sandbox, agent, deadline=LONG_DEADLINE)

    await flow.ask("creating session", me, Provisioned(note=note))


async def _name(flow: Flow, task: TaskView) -> str:
    """The branch: the task's own if it has one, else as wished, with a suffix where that is taken."""
    if task.branch:
        return task.branch
    remote = await flow.do("naming", flow.doors.github.branch_names, task.repository)
    wanted = task.wanted_branch or branch_from(task.title)
    reserve = ReserveBranch(task=task.id, wanted=wanted, exact=task.wanted_branch is not None, remote=remote)
    branch = await flow.ask("naming", addresses.repository(task.repository.id), reserve)
    await flow.ask("naming", flow.owner, Named(branch=branch, title=task.title, base=task.base))
    return branch


async def clone(doors: Doors, task: TaskView, sandbox: SandboxId, branch: str) -> str:
    """Clone with a credential that lives as long as this call."""
    async with doors.github.credential(task.repository, write=False) as token:
        repository = await doors.github.repository(task.repository)
        return await doors.sandboxes.clone(
            sandbox, repository, branch=branch, base=task.base, person=task.created_by, token=token
        )


async def begin_from(doors: Doors, task: TaskView, start: Beginning) -> str:
    """Restore a checkpoint's work. Return a note for people."""
    assert task.sandbox
    assert start.source
    assert start.saved
    place = checkpoint_key(start.source.task, start.source.id)
    head = await doors.sandboxes.restore(
        task.sandbox, place, start.saved, branch=start.branch, base=task.base, keep_newer=start.own
    )
    return start.note(head)


async def end_what_is_left(doors: Doors, lost: SandboxId) -> None:
    """End the processes of a sandbox whose files are gone. Do not wait for a process that does not end."""
    try:
        await doors.sandboxes.stop(lost)
    except FoundryError as error:
        log.warning("processes of a lost sandbox go on", sandbox=lost, reason=error.detail)
