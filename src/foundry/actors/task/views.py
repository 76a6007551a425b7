"""What the edge reads of a Task."""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import select

from foundry.actors.task.jobs import Beginning, OpenBranch, RenameWish
from foundry.actors.task.remote_branch import heard_of, shown
from foundry.actors.task.tables import checkpoints, task_sessions_known, tasks
from foundry.contracts.addresses import task as address
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import CheckpointId, MessageId, OrganizationId, RepositoryId, SandboxId, SessionId, TaskId
from foundry.contracts.messages import utc
from foundry.contracts.overdue import Overdue
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import (
    ArchiveReason,
    BranchRename,
    Phase,
    PhaseTrouble,
    PullRequestRef,
    SessionSummary,
    TaskState,
    TaskSummary,
    TaskView,
    WorkTree,
)
from foundry.contracts.task_checkpoints import CheckpointMissing, CheckpointReason, CheckpointRef, CheckpointView, Saved
from foundry.runtime.turn import AnyRow, Reader

OPEN = (TaskState.PROVISIONING.value, TaskState.FAILED.value, TaskState.READY.value)
BRANCHES = select(tasks.c.task, tasks.c.repository, tasks.c.branch, tasks.c.upstream, tasks.c.pull_request).where(
    tasks.c.state.in_(OPEN), tasks.c.branch.is_not(None), tasks.c.rename.is_(None)
)


def view(row: AnyRow, sessions: Sequence[AnyRow], saved: Sequence[AnyRow]) -> TaskView:
    """The task as its page shows it, from its rows."""
    known = [
        SessionSummary(
            id=SessionId(s.session),
            title=s.title,
            agent=s.agent,
            status=s.status,
            trouble=PhaseTrouble.model_validate_json(s.trouble) if s.trouble else None,
            overdue=Overdue.model_validate_json(s.overdue) if s.overdue else None,
        )
        for s in sorted(sessions, key=lambda s: s.number)
    ]
    work = WorkTree.model_validate_json(row.work)
    active = next((s for s in known if s.id == row.active_session), None)
    rename = BranchRename.model_validate_json(row.rename) if row.rename else None
    trouble = PhaseTrouble.model_validate_json(row.trouble) if row.trouble else rename and rename.trouble
    overdue = Overdue.model_validate_json(row.overdue) if row.overdue else active and active.overdue
    return TaskView(
        id=TaskId(row.task),
        repository=RepositoryRef.model_validate_json(row.repository),
        title=row.title,
        branch=row.branch,
        state=TaskState(row.state),
        phase=Phase(row.phase),
        phase_since=utc(row.phase_since),
        activity=active.status if active else "",
        trouble=trouble,
        overdue=overdue,
        pull_request=PullRequestRef.model_validate_json(row.pull_request) if row.pull_request else None,
        created_by=Person.model_validate_json(row.person),
        created_at=utc(row.created_at),
        changed_at=utc(row.changed_at),
        archived=ArchiveReason(row.archived) if row.archived else None,
        prompt=row.prompt,
        base=row.base,
        wanted_branch=row.wanted_branch,
        attempt=row.attempt,
        sandbox=SandboxId(row.sandbox),
        active_session=SessionId(row.active_session) if row.active_session else None,
        sessions=known,
        work=work,
        publishing=row.publishing,
        rename=rename,
        renaming=row.rename_workflow is not None,
        checkpoints=[checkpoint_view(one) for one in sorted(saved, key=lambda one: -one.number) if one.saved],
        begins_from=CheckpointRef.model_validate_json(row.begins_from) if row.begins_from else None,
        saving=row.save_workflow is not None,
        restoring=row.restore_workflow is not None,
        upstream=None if row.archived else shown(heard_of(row.upstream), work, row.branch or ""),
        fetching=row.fetch_workflow is not None,
        resting=row.resting and row.rest_workflow is None,
        save_trouble=PhaseTrouble.model_validate_json(row.save_trouble) if row.save_trouble else None,
        kept=row.kept,
        remove_at=utc(row.remove_at) if row.remove_at else None,
        note=row.note,
        auto_publish=row.auto_publish,
    )


def checkpoint_view(row: AnyRow) -> CheckpointView:
    return CheckpointView(
        id=CheckpointId(row.checkpoint),
        number=row.number,
        reason=CheckpointReason(row.reason),
        session=SessionId(row.session) if row.session else None,
        message=MessageId(row.message) if row.message else None,
        saved=Saved.model_validate_json(row.saved),
        at=utc(row.at),
    )


def summary(full: TaskView) -> TaskSummary:
    """The task as lists show it."""
    return TaskSummary(**{name: getattr(full, name) for name in TaskSummary.model_fields})


def task_view(reader: Reader, task: TaskId) -> TaskView:
    """The whole task.

    Raises:
        NotFound: there is none with this id.
    """
    row = reader.first(select(tasks).where(tasks.c.task == task))
    if row is None:
        raise NotFound(f"no task with id {task}")
    sessions = reader.all(select(task_sessions_known).where(task_sessions_known.c.task == task))
    return view(row, sessions, reader.all(select(checkpoints).where(checkpoints.c.task == task)))


def rename_view(reader: Reader, task: TaskId) -> RenameWish:
    """The task's rename as it stands now."""
    row = reader.one(select(tasks).where(tasks.c.task == task))
    rename = BranchRename.model_validate_json(row.rename)
    return RenameWish(
        task=task,
        repository=RepositoryRef.model_validate_json(row.repository),
        sandbox=SandboxId(row.sandbox),
        old=rename.old,
        new=rename.new,
        replaces=rename.replaces,
        asked=rename.asked,
        giving_up=rename.giving_up,
    )


def organizations_with_open_tasks(reader: Reader) -> list[OrganizationId]:
    rows = reader.all(select(tasks.c.organization).where(tasks.c.state.in_(OPEN)).distinct())
    return [OrganizationId(row.organization) for row in rows]


def open_branches(reader: Reader, organization: OrganizationId) -> list[tuple[RepositoryRef, list[OpenBranch]]]:
    """The branches of the organization's open tasks by repository; of those repositories where GitHub has one.

    A branch that is being renamed is left out: it is between two names.
    """
    found: dict[RepositoryId, tuple[RepositoryRef, list[OpenBranch]]] = {}
    for row in reader.all(BRANCHES.where(tasks.c.organization == organization).order_by(tasks.c.task)):
        repository = RepositoryRef.model_validate_json(row.repository)
        found.setdefault(repository.id, (repository, []))[1].append(_open_branch(row))
    return [one for one in found.values() if any(branch.heard or branch.pull_request for branch in one[1])]


def branches_now(reader: Reader, of: list[TaskId]) -> list[OpenBranch]:
    """The same of these tasks, as it is now."""
    return [_open_branch(row) for row in reader.all(BRANCHES.where(tasks.c.task.in_(of)))]


def _open_branch(row: AnyRow) -> OpenBranch:
    heard = heard_of(row.upstream)
    pull = PullRequestRef.model_validate_json(row.pull_request) if row.pull_request else None
    return OpenBranch(
        task=TaskId(row.task),
        branch=row.branch,
        known=heard.head if heard else None,
        heard=heard is not None,
        pull_request=pull.number if pull and pull.state != "merged" else None,
        pull_request_open=pull is not None and pull.state == "open",
    )


def checkpoint_of(reader: Reader, ref: CheckpointRef) -> CheckpointView:
    """One checkpoint.

    Raises:
        CheckpointMissing: the task lists none with this id.
    """
    query = select(checkpoints).where(checkpoints.c.task == ref.task, checkpoints.c.checkpoint == ref.id)
    row = reader.first(query)
    if row is None or not row.saved:
        raise CheckpointMissing(f"task {ref.task} has no checkpoint with id {ref.id}", field="checkpoint")
    return checkpoint_view(row)


def beginning(reader: Reader, task: TaskId) -> Beginning:
    """What the task's sandbox is made from, besides GitHub.

    Raises:
        CheckpointMissing: the checkpoint is no longer listed.
    """
    row = reader.one(select(tasks).where(tasks.c.task == task))
    if not row.begins_from:
        return Beginning(lost=row.lost_sandbox)
    ref = CheckpointRef.model_validate_json(row.begins_from)
    saved, own = checkpoint_of(reader, ref).saved, ref.task == task
    names = ("", row.branch, *json.loads(row.former_branches))
    elsewhere = own and saved.branch not in names  # the agent had another branch checked out
    branch = saved.branch if elsewhere else row.branch or ""  # a new task is named only later
    return Beginning(lost=row.lost_sandbox, source=ref, saved=saved, branch=branch, own=own)


def task_snapshot(reader: Reader, task: TaskId) -> tuple[int, TaskView]:
    """The topic's version and the whole task, from one snapshot."""
    return reader.version(address(task)), task_view(reader, task)


def announces(reader: Reader, session: SessionId) -> bool:
    """Whether a task has this session, be it only about to begin."""
    return reader.first(select(task_sessions_known.c.task).where(task_sessions_known.c.session == session)) is not None
