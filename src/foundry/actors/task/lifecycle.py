"""A task's life: created, retried, archived."""

from __future__ import annotations

from foundry.actors.task import branch_rename, operations, overdue, provisioning, sandbox, sessions
from foundry.actors.task.tables import task_sessions_known, tasks, waiting_prompts, wanted_checkpoints
from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.task import ArchiveReason, ArchiveTask, CreateTask, Phase, RetryProvisioning, TaskState, title_of
from foundry.contracts.task_session import CloseSession, OpenAgent, SessionStatus
from foundry.runtime.actor import creates, handles
from foundry.runtime.columns import AnyRow
from foundry.runtime.turn import Turn


@creates(CreateTask)
def create(turn: Turn, command: CreateTask) -> None:
    """1. Remember the wish. 2. Create the first session. 3. Start provisioning. Nothing is waited for."""
    if not turn.born:
        raise WrongState(f"task {turn.key} exists already")
    turn.insert(
        tasks,
        organization=command.repository.organization,
        repository_id=command.repository.id,
        prompt=command.prompt,
        title=command.title or title_of(command.prompt) or "Task",
        wanted_branch=command.branch,
        base=command.base or command.repository.default_branch,
        person=command.person,
        state=TaskState.PROVISIONING,
        phase=Phase.NAMING,
        phase_since=turn.now,
        auto_publish=command.auto_publish,
        begins_from=command.checkpoint,
        agent=command.agent,
        sandbox=command.sandbox,
        active_session=command.session,
        created_at=turn.now,
        changed_at=turn.now,
    )
    sessions.add(turn, command.session, command.agent, command.prompt, command.person)
    provisioning.provision(turn)


@handles(RetryProvisioning)
def retry(turn: Turn, command: RetryProvisioning) -> None:
    """1. What hangs or failed is tried again. 2. The same ids, so each step finds what the last try made."""
    row = turn.one(tasks)
    if overdue.start_again(turn):
        if row.state == TaskState.PROVISIONING:
            turn.update(tasks, attempt=row.attempt + 1, phase_since=turn.now)
    elif branch_rename.may_retry(turn):
        branch_rename.begin_rename(turn)
    elif row.state == TaskState.READY and row.phase != Phase.RUNNING:
        _retry_session(turn, row)
    elif row.state != TaskState.FAILED:
        raise WrongState(
            f"the task is {row.state}; only a failed one is retried", remedy="Nothing needs to be retried."
        )
    else:
        provisioning.become(turn, TaskState.PROVISIONING, attempt=row.attempt + 1, phase_since=turn.now)
        provisioning.provision(turn)


def _retry_session(turn: Turn, row: AnyRow) -> None:
    """The sandbox is there and its first session is what failed."""
    known = turn.one(task_sessions_known, session=row.active_session)
    if known.status != SessionStatus.ERROR and not row.overdue:
        raise WrongState(f"the session is {known.status}; only a failed one is retried")
    turn.update(tasks, attempt=row.attempt + 1, phase_since=turn.now)
    turn.update(task_sessions_known, {"session": known.session}, failure=None)
    turn.send(addresses.session(known.session), OpenAgent(anew=True))


@handles(ArchiveTask)
def archive(turn: Turn, command: ArchiveTask) -> None:
    """1. Refuse a second time. 2. Commit. 3. Save the work and release the sandbox in the background."""
    facts = operations.facts(turn)
    facts.refuse_archived()
    facts.refuse_renaming()  # a branch between two names would be left behind
    reason = ArchiveReason.KILLED if command.kill else ArchiveReason.ARCHIVED
    archive_task(turn, reason, discard=command.discard)


def archive_task(turn: Turn, reason: ArchiveReason, *, discard: bool) -> None:
    note = branch_rename.forget_unfinished(turn) or turn.one(tasks).note
    provisioning.become(turn, TaskState.ARCHIVED, archived=reason, note=note)
    operations.end_with_sandbox(turn)
    for known in turn.all(task_sessions_known):
        turn.send(addresses.session(known.session), CloseSession(reason=reason.value))
    turn.delete(waiting_prompts)
    turn.delete(wanted_checkpoints)
    sandbox.release_sandbox(turn, discard=discard)
