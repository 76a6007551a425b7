"""Task: one branch of one repository, from the prompt to the merged pull request."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from foundry.actors.task import (
    branch_rename,
    branch_sync,
    checkpoints,
    lifecycle,
    operations,
    overdue,
    provisioning,
    publishing,
    sandbox,
    sessions,
    work_tree,
)
from foundry.actors.task.config import TaskConfig
from foundry.actors.task.tables import tasks
from foundry.actors.task.views import SHOWN, view
from foundry.contracts import addresses
from foundry.contracts.issues import AttemptFailed, Failure, Outcome, WorkflowEnded, WorkflowRecovered
from foundry.contracts.sandbox_instance import GitRejected, SandboxMissing
from foundry.contracts.sandbox_provider import SandboxGone
from foundry.contracts.task import TaskChanged, TaskSeen, TaskView
from foundry.contracts.task_operations import Kind
from foundry.runtime.actor import Actor, handles, receives
from foundry.runtime.turn import Turn


class Task(Actor):
    """Owns its phase and its pointers to sandbox, session and pull request; decides which prompt has the work tree.

    Never talks to GitHub or to a sandbox: its workflows do, through the doors. Never waits for either. What may run
    beside what is one table (contracts/task_operations.py); what each operation means for the task is its part.
    """

    topic = "task"
    parts = (
        lifecycle,
        provisioning,
        sessions,
        work_tree,
        checkpoints,
        publishing,
        branch_sync,
        branch_rename,
        sandbox,
        overdue,
    )

    def __init__(self, config: TaskConfig | None = None) -> None:
        self.config = config or TaskConfig()

    def after_turn(self, turn: Turn) -> None:
        """1. What waited and may begin now, begins. 2. Alarms. 3. Show what has changed; tell who lists the task."""
        work_tree.grant(turn)
        checkpoints.begin_wanted(turn)
        branch_sync.fetch_what_is_new(turn)
        overdue.set_alarm(turn)
        sandbox.set_idle_alarm(turn)
        turn.local = _show(turn)

    def view(self, turn: Turn) -> TaskView:
        return cast(TaskView, turn.local)

    # what its workflows report

    @handles(AttemptFailed)
    def attempt_failed(self, turn: Turn, command: AttemptFailed) -> None:
        """Shown with what to do and when the next attempt is."""
        failure, kind = command.failure, operations.kind_of(command.failure.workflow)
        one = operations.running(turn, kind) if kind else None
        if kind is None or one is None or one.id != failure.workflow_id:
            return
        if kind in (*SHOWN, Kind.RENAME):
            operations.failed(turn, kind, failure)
        if failure.code == GitRejected.code:
            branch_sync.push_rejected(turn)

    @handles(WorkflowRecovered)
    def attempt_succeeded(self, turn: Turn, command: WorkflowRecovered) -> None:
        """What was shown of failed attempts is over."""
        kind = operations.kind_of(command.workflow)
        if kind is not None and kind in (*SHOWN, Kind.RENAME):
            operations.put(turn, kind, failure=None)

    @receives(WorkflowEnded)
    def operation_ended(self, turn: Turn, message: WorkflowEnded) -> None:
        """1. It holds nothing any more. 2. A failure means what its part says. 3. A lost sandbox is recovered."""
        kind, failure = operations.kind_of(message.workflow), message.failure
        if kind is None:
            return
        if not turn.running(kind.value):
            operations.put(turn, kind, holds=False)
        if message.outcome is Outcome.CANCELLED:
            return
        if failure is None:
            _succeeded(turn, kind)
            return
        FAILED[kind](turn, failure)
        if failure.code == GitRejected.code:
            branch_sync.push_rejected(turn)
        if kind in (Kind.PROVISION, Kind.RECOVERY):
            provisioning.provisioning_failed(turn)
        elif failure.code == SandboxGone.code:
            turn.send(turn.address, SandboxMissing(sandbox=turn.one(tasks).sandbox))


def _succeeded(turn: Turn, kind: Kind) -> None:
    if kind is Kind.RELEASE:
        sandbox.remove(turn)  # if its time was over before it could wait
    elif kind is Kind.FETCH:
        branch_sync.well_again(turn)
    elif kind in SHOWN:
        operations.put(turn, kind, step="", failure=None)


def _shown(kind: Kind) -> Callable[[Turn, Failure], object]:
    return lambda turn, failure: operations.failed(turn, kind, failure)


def _noted(words: str) -> Callable[[Turn, Failure], object]:
    return lambda turn, failure: turn.update(tasks, note=f"{words} {failure.message} {failure.remedy}".strip())


FAILED: dict[Kind, Callable[[Turn, Failure], object]] = {
    Kind.PROVISION: _shown(Kind.PROVISION),
    Kind.RECOVERY: _shown(Kind.RECOVERY),
    Kind.GIT_STATUS: _noted("Reading the work tree failed:"),
    Kind.CHECKPOINT: _shown(Kind.CHECKPOINT),
    Kind.RESTORE: _noted("Nothing was restored:"),
    Kind.PUBLISH: _shown(Kind.PUBLISH),
    Kind.FETCH: _noted(branch_sync.NOT_FETCHED),
    Kind.RENAME: branch_rename.rename_failed,
    Kind.IDLE_STOP: _noted("The sandbox was not stopped:"),
    Kind.RELEASE: sandbox.release_failed,
}


def _show(turn: Turn) -> TaskView:
    full, apart = view(turn), {"changed_at"}  # of what is shown; it is not a change of its own
    now = full.model_copy(update={"changed_at": turn.now})
    shown = full.model_dump_json(exclude=apart)
    if turn.show(shown, lambda: TaskChanged(entity=turn.key, repository=now.repository.id, task=now)):
        turn.update(tasks, changed_at=turn.now)
        full = now
    line, repository = full.line(), full.repository
    index = (addresses.organization(repository.organization), addresses.repository(repository.id))
    turn.tell(index, TaskSeen(task=line), line.model_dump_json(exclude=apart))
    return full
