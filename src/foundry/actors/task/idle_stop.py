"""The sandbox while nobody uses it: its work is saved, then it is stopped; whatever needs it starts it again."""

from __future__ import annotations

from foundry.actors.task import checkpoints, operations, sessions
from foundry.actors.task.config import config
from foundry.actors.task.jobs import IdleStop, SaveWish
from foundry.actors.task.tables import task_sessions_known, tasks
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SessionId
from foundry.contracts.task import BeginIdleStop, Phase, StopSandbox, TaskState
from foundry.contracts.task_checkpoints import CheckpointReason
from foundry.contracts.task_operations import Kind
from foundry.contracts.task_session import SessionStatus
from foundry.runtime.actor import due, handles
from foundry.runtime.turn import Turn

WORKING = (SessionStatus.PENDING, SessionStatus.RUNNING)


@due("idle")
def idle(turn: Turn) -> None:
    """Nobody has used the sandbox for the time that the setting names."""
    if unused(turn):
        _begin(turn)


@handles(StopSandbox)
def stop_sandbox(turn: Turn, command: StopSandbox) -> None:
    """A person need not wait for that time; asked again, it goes on."""
    row = turn.one(tasks)
    operations.refuse_state(row)
    if row.sandbox_stopped or operations.running(turn, Kind.IDLE_STOP):
        return
    operations.refuse(turn, Kind.IDLE_STOP)
    if not unused(turn):
        raise WrongState("the sandbox is in use", remedy="Stop the agent first, or wait until it ends.")
    _begin(turn)


def _begin(turn: Turn) -> None:
    save = checkpoints.next_save(turn, SaveWish(reason=CheckpointReason.IDLE))
    operations.begin(turn, Kind.IDLE_STOP, IdleStop(save=save))


@handles(BeginIdleStop)
def begin_to_stop(turn: Turn, command: BeginIdleStop) -> list[SessionId]:
    """From here on the sandbox is being stopped: what needs it waits for the end of that."""
    going = [SessionId(one.session) for one in sessions.not_closed(turn)]
    operations.put(turn, Kind.IDLE_STOP, holds=True)
    if not turn.one(tasks).sandbox_stopped:
        turn.update(tasks, sandbox_stopped=True)
        for session in going:
            turn.update(task_sessions_known, {"session": session}, sandbox_stopped=True)
    return going


def set_alarm(turn: Turn) -> None:
    """Every turn ends with this: the time counts from the last turn in which the sandbox was in use."""
    after = config(turn).idle
    turn.schedule("idle", after if after and unused(turn) else None)


def unused(turn: Turn) -> bool:
    """Return True if nobody uses the sandbox: no agent works or is about to, and no operation runs."""
    row = turn.one(tasks)
    return (
        row.state == TaskState.READY
        and row.phase == Phase.RUNNING
        and not row.sandbox_stopped
        and not row.running_message
        and not operations.sandbox_in_use(turn)
        and not any(one.status in WORKING and not one.sandbox_stopped for one in turn.all(task_sessions_known))
    )
