"""The task's sandbox: stopped while nobody uses it, released once the task is archived. Its work is saved before.

Whatever needs a stopped one starts it again. An archived task's is released at once, or after the time that the setting
names. The turn that archives sets the alarm, before anything outside is asked; so it rings whatever becomes of the
server. A sandbox whose work cannot be saved is retained, and no alarm removes it.
"""

from __future__ import annotations

from foundry.actors.task import checkpoints, operations, sessions
from foundry.actors.task.config import config
from foundry.actors.task.jobs import IdleStop, Release
from foundry.actors.task.tables import releases, task_sessions_known, tasks
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SessionId
from foundry.contracts.issues import Failure
from foundry.contracts.messages import millis
from foundry.contracts.task import BeginIdleStop, Phase, ReleaseSandbox, SandboxReleased, StopSandbox, TaskState
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
    operations.facts(turn).refuse_state()
    if turn.one(tasks).sandbox_stopped or operations.running(turn, Kind.IDLE_STOP):
        return
    operations.refuse(turn, Kind.IDLE_STOP)
    if not unused(turn):
        raise WrongState("the sandbox is in use", remedy="Stop the agent first, or wait until it ends.")
    _begin(turn)


def _begin(turn: Turn) -> None:
    save = checkpoints.next_save(turn, CheckpointReason.IDLE)
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


def set_idle_alarm(turn: Turn) -> None:
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


# of an archived task


def release_sandbox(turn: Turn, *, discard: bool, now: bool = False) -> None:
    """Save the work, then delete the sandbox; or stop it and delete it later, where the setting says so.

    Args:
        discard: do not save the work; then there is nothing to wait for either.
        now: do not wait.
    """
    wait = None if discard or now else config(turn).archived
    remove_at = turn.now + wait if wait else None
    turn.schedule("remove", wait or None)
    save = checkpoints.next_save(turn, CheckpointReason.RELEASE)
    turn.put(releases, retained="", remove_at=remove_at)
    operations.begin(turn, Kind.RELEASE, Release(save=save, discard=discard, remove_at=remove_at))


@handles(ReleaseSandbox)
def release(turn: Turn, command: ReleaseSandbox) -> None:
    """Only a sandbox that outlived its task is released again: one that was retained, hangs, or waits."""
    row, known = turn.one(tasks), turn.find(releases)
    if row.state != TaskState.ARCHIVED or known is None or not (known.retained or row.overdue or known.remove_at):
        raise WrongState("the task has no retained sandbox", remedy="Archive the task to release its sandbox.")
    runs = operations.running(turn, Kind.RELEASE)
    waits = bool(known.remove_at and runs is None)  # then all that is in it is saved
    if runs is not None:
        turn.cancel(runs.id)
    release_sandbox(turn, discard=command.discard or waits, now=True)


@due("remove")
def remove(turn: Turn) -> None:
    """Once the time is over; where its work is still being saved, the end of that removes it."""
    known = turn.find(releases)
    over = known is not None and known.remove_at is not None and known.remove_at <= millis(turn.now)
    if over and operations.running(turn, Kind.RELEASE) is None:
        release_sandbox(turn, discard=True)


@handles(SandboxReleased)
def sandbox_released(turn: Turn, command: SandboxReleased) -> None:
    """It is gone, or retained, or waits for its time."""
    if command.retained or not command.waits:
        retain(turn, command.retained)


def release_failed(turn: Turn, failure: Failure) -> None:
    retain(turn, f"{failure.message} {failure.remedy}".strip())


def forget(turn: Turn) -> bool:
    """The provider no longer has the sandbox. Return True if the task still counted on it."""
    known = turn.find(releases)
    if known is None or not (known.retained or (known.remove_at and not turn.running(Kind.RELEASE.value))):
        return False
    if known.retained:
        turn.update(tasks, note=f"The retained sandbox is gone. It was retained because: {known.retained}")
    retain(turn, "")
    return True


def retain(turn: Turn, reason: str) -> None:
    """Nothing removes it automatically any more: it is gone, or retained for this reason."""
    turn.unschedule("remove")
    turn.put(releases, retained=reason, remove_at=None)
