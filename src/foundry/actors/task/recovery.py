"""Recovery: a new sandbox for a task that lost its own, from the branch on GitHub and the last checkpoint."""

from __future__ import annotations

from datetime import timedelta

from foundry.actors.task import operations
from foundry.actors.task.jobs import Inspect, Provision
from foundry.actors.task.tables import (
    checkpoints,
    lost_sandboxes,
    releases,
    task_sessions_known,
    tasks,
    wanted_checkpoints,
)
from foundry.actors.task.transitions import advance
from foundry.contracts import addresses
from foundry.contracts.ids import CheckpointId, OrganizationId, SandboxId, SessionId, TaskId
from foundry.contracts.issues import FailuresOver
from foundry.contracts.messages import millis
from foundry.contracts.sandbox_instance import ForgetSandbox, SandboxMissing
from foundry.contracts.sandbox_provider import SandboxGone
from foundry.contracts.task import Phase, PhaseFailure, TaskState
from foundry.contracts.task_checkpoints import CheckpointRef
from foundry.contracts.task_operations import OPERATIONS, Kind
from foundry.contracts.task_session import SandboxLost, SessionStatus
from foundry.runtime.actor import receives
from foundry.runtime.turn import AnyRow, Turn

RECOVERIES = 3  # automatic ones within `RECOVERIES_WITHIN`; then a person decides
RECOVERIES_WITHIN = timedelta(hours=1)


@receives(SandboxMissing)
def sandbox_missing(turn: Turn, message: SandboxMissing) -> None:
    """The provider no longer has it."""
    row, released = turn.one(tasks), turn.find(releases)
    if message.sandbox != row.sandbox:
        return
    if row.state == TaskState.READY and not turn.running(Kind.RENAME.value):  # else the rename's end says it again
        recover(turn)
    elif released is not None and released.retained:
        note = f"The retained sandbox is gone. It was retained because: {released.retained}"
        turn.update(tasks, note=note)
        turn.update(releases, retained="")
        turn.send(addresses.sandbox(SandboxId(row.sandbox)), ForgetSandbox())
    elif released is not None and released.remove_at and not turn.running(Kind.RELEASE.value):
        turn.unschedule("remove")
        turn.update(releases, remove_at=None)
        turn.send(addresses.sandbox(SandboxId(row.sandbox)), ForgetSandbox())


def recover(turn: Turn) -> None:
    """1. What ran in the old one is over. 2. Sessions wait for the new one. 3. Provision it, or wait for a person
    where that was done too often."""
    row, now = turn.one(tasks), millis(turn.now)
    cut = operations.end_with_sandbox(turn)
    new = SandboxId(turn.new_id("sbx"))
    since = now - RECOVERIES_WITHIN / timedelta(milliseconds=1)
    recent = [one for one in turn.all(lost_sandboxes) if one.at > since]
    if turn.find(lost_sandboxes, sandbox=row.sandbox) is None:
        turn.insert(lost_sandboxes, sandbox=row.sandbox, at=now)
    turn.update(
        tasks,
        state=advance(TaskState(row.state), TaskState.PROVISIONING).value,
        phase=Phase.NAMING.value,
        phase_since=now,
        attempt=1,
        sandbox=new,
        begins_from=_last(turn, row),
        running_message=None,
        note=_note(turn, cut),
    )
    turn.delete(wanted_checkpoints)
    operations.put(turn, Kind.CHECKPOINT, failure=None)
    for known in turn.all(task_sessions_known):
        if known.status != SessionStatus.CLOSED:
            pending = {"status": SessionStatus.PENDING.value, "opening": False, "sandbox_stopped": False}
            turn.update(task_sessions_known, {"session": known.session}, **pending)
            turn.send(addresses.session(SessionId(known.session)), SandboxLost(sandbox=new))
    turn.send(addresses.sandbox(SandboxId(row.sandbox)), ForgetSandbox())
    if len(recent) < RECOVERIES:
        operations.begin(turn, Kind.RECOVERY, Provision(task=TaskId(turn.key)))
        return
    failure = PhaseFailure(
        code="sandbox_lost_often",
        message=f"The sandbox was lost {len(recent) + 1} times within an hour, so no further one was made.",
        remedy="Find out who removes sandboxes, then retry: the work comes back from the last checkpoint.",
        attempt=1,
    )
    turn.update(tasks, state=TaskState.FAILED.value)
    operations.put(turn, Kind.RECOVERY, failure=failure.model_dump_json())


def kind_of_provisioning(turn: Turn) -> Kind:
    """Return True if provisioning replaces a lost sandbox, False if it makes the task's first one."""
    return Kind.RECOVERY if turn.all(lost_sandboxes, replaced=False) else Kind.PROVISION


def recovered(turn: Turn, note: str) -> None:
    """The sandbox is there. If it is for a lost one: say so, look at the work, end what the loss was reported as."""
    if not turn.update(lost_sandboxes, {"replaced": False}, replaced=True):
        return
    row = turn.one(tasks)
    source = "the work of the last checkpoint" if row.begins_from else "the branch as GitHub has it"
    turn.update(tasks, note=note or f"The sandbox was lost; this is a new one, with {source}.")
    operations.begin(turn, Kind.GIT_STATUS, Inspect(sandbox=SandboxId(row.sandbox), base=row.base))
    sessions = [addresses.session(SessionId(known.session)) for known in turn.all(task_sessions_known)]
    actors = [str(address) for address in (turn.address, *sessions)]
    over = FailuresOver(actors=actors, code=SandboxGone.code)
    turn.send(addresses.organization(OrganizationId(row.organization)), over)


def _last(turn: Turn, row: AnyRow) -> str | None:
    """What the new sandbox begins from: the task's own last checkpoint, else what the task began from."""
    last = max((one for one in turn.all(checkpoints) if one.saved), key=lambda one: one.number, default=None)
    if last is None:
        return row.begins_from
    return CheckpointRef(task=TaskId(turn.key), id=CheckpointId(last.checkpoint)).model_dump_json()


def _note(turn: Turn, cut: list[Kind]) -> str:
    last = max((one.number for one in turn.all(checkpoints) if one.saved), default=None)
    source = f"the branch and checkpoint {last}" if last is not None else "the branch on GitHub; there is no checkpoint"
    asked = [OPERATIONS[kind].asked_again for kind in cut if OPERATIONS[kind].asked_again]
    lines = [f"{name} was interrupted; ask for it again." for name in asked]
    return " ".join([f"The sandbox was lost. A new one is made from {source}.", *lines])
