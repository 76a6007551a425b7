"""A task's life: created, retried, archived."""

from __future__ import annotations

from foundry.actors.task import branch_rename, operations, overdue, recovery, release, sessions
from foundry.actors.task.jobs import Provision
from foundry.actors.task.tables import task_sessions_known, tasks, waiting_prompts, wanted_checkpoints
from foundry.actors.task.transitions import advance
from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SessionId, TaskId
from foundry.contracts.messages import millis
from foundry.contracts.task import (
    ArchiveReason,
    ArchiveTask,
    CreateTask,
    Phase,
    RetryProvisioning,
    TaskState,
    title_of,
)
from foundry.contracts.task_operations import OPERATIONS, Kind
from foundry.contracts.task_session import CloseSession, OpenAgent, SessionStatus
from foundry.runtime.actor import creates, handles
from foundry.runtime.turn import AnyRow, Turn


@creates(CreateTask)
def create(turn: Turn, command: CreateTask) -> None:
    """1. Remember the wish. 2. Create the first session. 3. Start provisioning. Nothing is waited for."""
    if not turn.born:
        raise WrongState(f"task {turn.key} exists already")
    now = millis(turn.now)
    turn.insert(
        tasks,
        organization=command.repository.organization,
        repository_id=command.repository.id,
        prompt=command.prompt,
        title=command.title or title_of(command.prompt) or "Task",
        wanted_branch=command.branch,
        base=command.base or command.repository.default_branch,
        person=command.person.model_dump_json(),
        state=TaskState.PROVISIONING.value,
        phase=Phase.NAMING.value,
        phase_since=now,
        auto_publish=command.auto_publish,
        begins_from=command.checkpoint.model_dump_json() if command.checkpoint else None,
        agent=command.agent,
        sandbox=command.sandbox,
        active_session=command.session,
        created_at=now,
        changed_at=now,
    )
    sessions.add(turn, command.session, command.agent, command.prompt, command.person)
    operations.begin(turn, Kind.PROVISION, Provision(task=command.id))


@handles(RetryProvisioning)
def retry(turn: Turn, command: RetryProvisioning) -> None:
    """1. What hangs or failed is tried again. 2. The same ids, so each step finds what the last try made."""
    row = turn.one(tasks)
    if overdue.start_again(turn):
        if row.state == TaskState.PROVISIONING:
            turn.update(tasks, attempt=row.attempt + 1, phase_since=millis(turn.now))
    elif branch_rename.may_retry(turn):
        branch_rename.begin_rename(turn)
    elif row.state == TaskState.READY and row.phase != Phase.RUNNING:
        _retry_session(turn, row)
    elif row.state != TaskState.FAILED:
        raise WrongState(
            f"the task is {row.state}; only a failed one is retried", remedy="Nothing needs to be retried."
        )
    else:
        state = advance(TaskState(row.state), TaskState.PROVISIONING).value
        turn.update(tasks, state=state, attempt=row.attempt + 1, phase_since=millis(turn.now))
        operations.begin(turn, recovery.kind_of_provisioning(turn), Provision(task=TaskId(turn.key)))


def _retry_session(turn: Turn, row: AnyRow) -> None:
    """The sandbox is there and its first session is what failed."""
    known = turn.one(task_sessions_known, session=row.active_session)
    if known.status != SessionStatus.ERROR and not row.overdue:
        raise WrongState(f"the session is {known.status}; only a failed one is retried")
    turn.update(tasks, attempt=row.attempt + 1, phase_since=millis(turn.now))
    turn.update(task_sessions_known, {"session": known.session}, failure=None)
    turn.send(addresses.session(SessionId(known.session)), OpenAgent(anew=True))


@handles(ArchiveTask)
def archive(turn: Turn, command: ArchiveTask) -> None:
    """1. Refuse a second time. 2. Commit. 3. Save the work and release the sandbox in the background."""
    row = turn.one(tasks)
    if row.state == TaskState.ARCHIVED:
        operations.refuse_state(row)
    if turn.running(Kind.RENAME.value):  # a branch between two names would be left behind
        raise WrongState(OPERATIONS[Kind.RENAME].doing, remedy=operations.WAIT)
    reason = ArchiveReason.KILLED if command.kill else ArchiveReason.ARCHIVED
    archive_task(turn, reason, discard=command.discard)


def archive_task(turn: Turn, reason: ArchiveReason, *, discard: bool) -> None:
    row = turn.one(tasks)
    state = advance(TaskState(row.state), TaskState.ARCHIVED).value
    operations.end_with_sandbox(turn)
    note = branch_rename.forget_unfinished(turn) or row.note
    turn.update(tasks, state=state, archived=reason.value, note=note)
    for known in turn.all(task_sessions_known):
        turn.send(addresses.session(SessionId(known.session)), CloseSession(reason=reason.value))
    turn.delete(waiting_prompts)
    turn.delete(wanted_checkpoints)
    release.release_sandbox(turn, discard=discard)
