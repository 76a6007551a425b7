"""Provisioning: the task's sandbox is made, as the workflow reports it; a lost one is replaced by a new one.

The new one begins from the branch on GitHub and the last checkpoint.
"""

from __future__ import annotations

from datetime import timedelta

from foundry.actors.task import operations, sandbox, sessions, work_tree
from foundry.actors.task.jobs import OfTask
from foundry.actors.task.tables import lost_sandboxes, task_sessions_known, tasks, wanted_checkpoints
from foundry.actors.task.tables import operations as operation_rows
from foundry.actors.task.views import saved_ones
from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SandboxId, TaskId
from foundry.contracts.issues import FailuresOver
from foundry.contracts.messages import millis
from foundry.contracts.sandbox_instance import ForgetSandbox, SandboxMissing
from foundry.contracts.sandbox_provider import SandboxGone
from foundry.contracts.task import BeginPhase, Named, Phase, Provisioned, TaskState
from foundry.contracts.task_checkpoints import CheckpointRef
from foundry.contracts.task_operations import Kind
from foundry.contracts.task_provisioning import (
    RECOVERIES,
    RECOVERIES_WITHIN,
    lost_often,
    note_of_loss,
    note_of_recovery,
)
from foundry.contracts.task_session import SandboxLost, SessionStatus
from foundry.contracts.transitions import TASK, advance
from foundry.runtime.actor import handles, receives
from foundry.runtime.turn import Turn


@handles(BeginPhase)
def begin_phase(turn: Turn, command: BeginPhase) -> None:
    turn.update(tasks, phase=command.phase, phase_since=turn.now)
    _no_failure(turn)


@handles(Named)
def named(turn: Turn, command: Named) -> None:
    """1. Once the branch is assigned it stays (R4). 2. The next phase begins."""
    row = turn.one(tasks)
    if row.branch is not None and row.branch != command.branch:
        raise WrongState(f"the task's branch is {row.branch} for good", field="branch")
    phase = {"phase": Phase.CREATING_SANDBOX, "phase_since": turn.now}
    turn.update(tasks, branch=command.branch, title=command.title, base=command.base, **phase)


@handles(Provisioned)
def provisioned(turn: Turn, command: Provisioned) -> None:
    """1. The sandbox is ready. 2. Every pending session gets its agent; the phase goes on by their messages."""
    become(turn, TaskState.READY, phase=Phase.CREATING_SESSION, phase_since=turn.now)
    _no_failure(turn)
    if turn.update(lost_sandboxes, {"replaced": False}, replaced=True):
        _recovered(turn, command.note)
    sessions.open_agents(turn, installed=True)


def _recovered(turn: Turn, note: str) -> None:
    """The new sandbox is there: say so, look at the work, end what the loss was reported as."""
    row = turn.one(tasks)
    turn.update(tasks, note=note or note_of_recovery(checkpoint=bool(row.begins_from)))
    work_tree.look(turn)
    known = [addresses.session(one.session) for one in turn.all(task_sessions_known)]
    over = FailuresOver(actors=[str(one) for one in (turn.address, *known)], code=SandboxGone.code)
    turn.send(addresses.organization(row.organization), over)


def _no_failure(turn: Turn) -> None:
    for kind in (Kind.PROVISION, Kind.RECOVERY):
        turn.update(operation_rows, {"kind": kind}, failure=None)


def provisioning_failed(turn: Turn) -> None:
    """Its last attempt: the task has failed until somebody retries."""
    if turn.one(tasks).state == TaskState.PROVISIONING:
        become(turn, TaskState.FAILED)


def provision(turn: Turn) -> None:
    """Make the task's sandbox: its first one, or one for the sandbox that was lost."""
    kind = Kind.RECOVERY if turn.all(lost_sandboxes, replaced=False) else Kind.PROVISION
    operations.begin(turn, kind, OfTask(task=TaskId(turn.key)))


def become(turn: Turn, state: TaskState, **values: object) -> None:
    """The task's next state.

    Raises:
        WrongState: its present one does not allow that.
    """
    now = TaskState(turn.one(tasks).state)
    turn.update(tasks, state=advance(TASK, "the task", now, state), **values)


# a lost sandbox


@receives(SandboxMissing)
def sandbox_missing(turn: Turn, message: SandboxMissing) -> None:
    """The provider no longer has it."""
    row = turn.one(tasks)
    if message.sandbox != row.sandbox:
        return
    if row.state == TaskState.READY and not turn.running(Kind.RENAME.value):  # else the rename's end says it again
        recover(turn)
    elif sandbox.forget(turn):
        turn.send(addresses.sandbox(row.sandbox), ForgetSandbox())


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
    last = next(iter(saved_ones(turn)), None)  # without one it begins from what the task began from
    become(
        turn,
        TaskState.PROVISIONING,
        phase=Phase.NAMING,
        phase_since=now,
        attempt=1,
        sandbox=new,
        begins_from=CheckpointRef(task=TaskId(turn.key), id=last.checkpoint) if last else row.begins_from,
        running_message=None,
        note=note_of_loss(last.number if last else None, cut),
    )
    turn.delete(wanted_checkpoints)
    operations.put(turn, Kind.CHECKPOINT, failure=None)
    for known in sessions.not_closed(turn):
        pending = {"status": SessionStatus.PENDING, "opening": False, "sandbox_stopped": False}
        turn.update(task_sessions_known, {"session": known.session}, **pending)
        turn.send(addresses.session(known.session), SandboxLost(sandbox=new))
    turn.send(addresses.sandbox(row.sandbox), ForgetSandbox())
    if len(recent) < RECOVERIES:
        provision(turn)
        return
    become(turn, TaskState.FAILED)
    operations.put(turn, Kind.RECOVERY, failure=lost_often(len(recent) + 1))
