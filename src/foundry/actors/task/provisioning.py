"""Provisioning, as its workflow tells it: the phase, the branch, the end."""

from __future__ import annotations

from foundry.actors.task import operations, recovery, sessions
from foundry.actors.task.tables import tasks
from foundry.actors.task.transitions import advance
from foundry.contracts.errors import WrongState
from foundry.contracts.messages import millis
from foundry.contracts.task import BeginPhase, Named, Phase, Provisioned, TaskState
from foundry.contracts.task_operations import Kind
from foundry.runtime.actor import handles
from foundry.runtime.turn import Turn


@handles(BeginPhase)
def begin_phase(turn: Turn, command: BeginPhase) -> None:
    turn.update(tasks, phase=command.phase.value, phase_since=millis(turn.now))
    _no_failure(turn)


@handles(Named)
def named(turn: Turn, command: Named) -> None:
    """1. Once the branch is assigned it stays (R4). 2. The next phase begins."""
    row = turn.one(tasks)
    if row.branch is not None and row.branch != command.branch:
        raise WrongState(f"the task's branch is {row.branch} for good", field="branch")
    phase = {"phase": Phase.CREATING_SANDBOX.value, "phase_since": millis(turn.now)}
    turn.update(tasks, branch=command.branch, title=command.title, base=command.base, **phase)


@handles(Provisioned)
def provisioned(turn: Turn, command: Provisioned) -> None:
    """1. The sandbox is ready. 2. Every pending session gets its agent; the phase goes on by their messages."""
    state = advance(TaskState(turn.one(tasks).state), TaskState.READY).value
    turn.update(tasks, state=state, phase=Phase.CREATING_SESSION.value, phase_since=millis(turn.now))
    _no_failure(turn)
    recovery.recovered(turn, command.note)
    sessions.open_agents(turn, installed=True)


def _no_failure(turn: Turn) -> None:
    for kind in (Kind.PROVISION, Kind.RECOVERY):
        if operations.row_of(turn, kind) is not None:
            operations.put(turn, kind, failure=None)


def provisioning_failed(turn: Turn) -> None:
    """Its last attempt: the task has failed until somebody retries."""
    row = turn.one(tasks)
    if row.state == TaskState.PROVISIONING:
        turn.update(tasks, state=advance(TaskState(row.state), TaskState.FAILED).value)
