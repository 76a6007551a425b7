"""What the edge, the workflows and the task's own turns read of a Task."""

from __future__ import annotations

from sqlalchemy import select

from foundry.actors.task import operations
from foundry.actors.task.tables import (
    checkpoints,
    diffs,
    former_branches,
    lost_sandboxes,
    releases,
    remote_branches,
    renames,
    task_sessions_known,
    tasks,
)
from foundry.contracts.addresses import task as address
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import CheckpointId, OrganizationId, RepositoryId, SessionId, TaskId
from foundry.contracts.messages import utc
from foundry.contracts.overdue import Overdue
from foundry.contracts.people import Person
from foundry.contracts.remote_branch import OpenBranch, RemoteHead, shown
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import BranchRename, Phase, PullRequestRef, SessionSummary, TaskState, TaskView, WorkTree
from foundry.contracts.task_checkpoints import CheckpointMissing, CheckpointRef, CheckpointView, Saved
from foundry.contracts.task_operations import Kind
from foundry.contracts.task_provisioning import Beginning, Provisioning
from foundry.contracts.task_rename import RenameWish
from foundry.runtime.columns import AnyRow, from_row
from foundry.runtime.reader import Reader, Rows

OPEN = (TaskState.PROVISIONING.value, TaskState.FAILED.value, TaskState.READY.value)
BRANCHES = (
    select(
        *tasks.c["repository_id", "organization", "branch", "pull_request_number", "pull_request_ended"],
        remote_branches.c.task.is_not(None).label("heard"),
        remote_branches.c.head,
    )
    .outerjoin(remote_branches, remote_branches.c.task == tasks.c.task)
    .outerjoin(renames, renames.c.task == tasks.c.task)
    .where(tasks.c.state.in_(OPEN), tasks.c.branch.is_not(None), renames.c.task.is_(None))
    .order_by(tasks.c.task)
)


def view(rows: Rows) -> TaskView:
    """The task as its page shows it. Of its repository and pull request it has what the task keeps (R14).

    Raises:
        NotFound: there is no such task.
    """
    row = rows.find(tasks)
    if row is None:
        raise NotFound(f"no task with id {rows.key}")
    known = sessions_of(rows)
    active = next((one for one in known if one.id == row.active_session), None)
    kept = operations.kept(rows)
    runs = {one.name for one in rows.running() if not one.cancelling}
    last = kept.get(Kind.RENAME)
    step, why = last.step if last else "", operations.failure_of(last)
    rename = from_row(BranchRename, rows.find(renames), step=step, failure=why)
    failure = next((one for kind in SHOWN if (one := operations.failure_of(kept.get(kind)))), None)
    if failure is None and active and row.state == TaskState.READY and row.phase != Phase.RUNNING:
        failure = active.failure
    released = rows.find(releases)
    work = work_of(rows)
    publishing = kept.get(Kind.PUBLISH)
    return from_row(
        TaskView,
        row,
        id=row.task,
        repository=repository_of(row),
        activity=active.status if active else "",
        failure=failure or (rename and rename.failure),
        overdue=Overdue.model_validate_json(row.overdue) if row.overdue else active and active.overdue,
        pull_request=pull_request_of(row),
        created_by=Person.model_validate_json(row.person),
        sessions=known,
        work=work,
        publishing=publishing.step if publishing and Kind.PUBLISH in runs else "",
        rename=rename,
        renaming=Kind.RENAME in runs,
        checkpoint=max((one.number for one in saved_ones(rows)), default=0),
        saving=Kind.CHECKPOINT in runs,
        restoring=Kind.RESTORE in runs,
        upstream=None if row.archived else shown(remote_head(rows), work, row.branch or ""),
        fetching=Kind.FETCH in runs,
        sandbox_stopped=row.sandbox_stopped and Kind.IDLE_STOP not in runs,
        checkpoint_failure=operations.failure_of(kept.get(Kind.CHECKPOINT)),
        retained=released.retained if released else "",
        remove_at=utc(released.remove_at) if released and released.remove_at else None,
    )


SHOWN = (Kind.PROVISION, Kind.RECOVERY, Kind.PUBLISH)  # whose failure is the task's


def work_of(rows: Rows) -> WorkTree:
    """The work tree as last seen, without its diff."""
    return WorkTree.model_validate_json(rows.one(tasks).work)


def repository_of(row: AnyRow) -> RepositoryRef:
    """The task's repository with its id only. Readers that need the name look it up."""
    return RepositoryRef.of(RepositoryId(row.repository_id), OrganizationId(row.organization))


def remote_head(rows: Rows) -> RemoteHead | None:
    """GitHub's branch as last seen; None: never seen there."""
    return from_row(RemoteHead, rows.find(remote_branches))


def pull_request_of(row: AnyRow) -> PullRequestRef | None:
    """Its number, and what the task made of it; the rest is joined where it is shown."""
    if row.pull_request_number is None:
        return None
    return PullRequestRef(number=row.pull_request_number, state=row.pull_request_ended or "open")


def sessions_of(rows: Rows) -> list[SessionSummary]:
    known = sorted(rows.all(task_sessions_known), key=lambda one: one.number)
    return [from_row(SessionSummary, one, id=one.session, stopped=one.sandbox_stopped) for one in known]


def saved_ones(rows: Rows) -> list[AnyRow]:
    """The checkpoints that hold something, the latest first."""
    return sorted((one for one in rows.all(checkpoints) if one.saved), key=lambda one: -one.number)


def checkpoint_in(rows: Rows, checkpoint: CheckpointId) -> CheckpointView:
    """One of the task's checkpoints.

    Raises:
        CheckpointMissing: none is listed under this id.
    """
    row = rows.find(checkpoints, checkpoint=checkpoint)
    if row is None or not row.saved:
        raise CheckpointMissing(f"task {rows.key} has no checkpoint with id {checkpoint}", field="checkpoint")
    return from_row(CheckpointView, row, id=row.checkpoint)


def branch_for(rows: Rows, saved: Saved) -> str:
    """The branch that the task's own checkpoint comes back to: the task's, unless the agent had another checked out."""
    branch = rows.one(tasks).branch
    names = ("", branch, *(one.branch for one in rows.all(former_branches)))
    return branch if saved.branch in names else saved.branch


# for the edge


def task_view(reader: Reader, task: TaskId) -> TaskView:
    """The whole task.

    Raises:
        NotFound: there is none with this id.
    """
    return view(reader.rows(address(task)))


def task_diff(reader: Reader, task: TaskId) -> WorkTree:
    """The work tree with its diff, as last seen."""
    rows = reader.rows(address(task))
    row = rows.find(diffs)
    return view(rows).work.model_copy(update={"diff": row.diff if row else ""})


def checkpoint_list(reader: Reader, task: TaskId) -> list[CheckpointView]:
    """What was saved of the task's work, the latest first."""
    return [from_row(CheckpointView, row, id=row.checkpoint) for row in saved_ones(reader.rows(address(task)))]


def checkpoint_of(reader: Reader, ref: CheckpointRef) -> CheckpointView:
    """A checkpoint of any task.

    Raises:
        CheckpointMissing: the task lists none with this id.
    """
    return checkpoint_in(reader.rows(address(ref.task)), ref.id)


def announces(reader: Reader, session: SessionId) -> bool:
    """Return True if a task has this session, even if the session is still starting."""
    return reader.first(select(task_sessions_known.c.task).where(task_sessions_known.c.session == session)) is not None


# for workflows and the poller


def rename_view(reader: Reader, task: TaskId) -> RenameWish:
    """The task's rename as it stands now."""
    rows = reader.rows(address(task))
    row = rows.one(tasks)
    return from_row(RenameWish, rows.one(renames), repository=repository_of(row), sandbox=row.sandbox)


def beginning(reader: Reader, task: TaskId) -> Beginning:
    """What the task's sandbox is made from, besides GitHub.

    Raises:
        CheckpointMissing: the checkpoint is no longer listed.
    """
    rows = reader.rows(address(task))
    row = rows.one(tasks)
    gone = max(rows.all(lost_sandboxes, replaced=False), key=lambda one: one.at, default=None)
    lost = gone.sandbox if gone else None
    if not row.begins_from:
        return Beginning(lost=lost)
    ref = CheckpointRef.model_validate_json(row.begins_from)
    saved, own = checkpoint_of(reader, ref).saved, ref.task == task
    branch = branch_for(rows, saved) if own else row.branch  # a new task is named only later
    return Beginning(lost=lost, source=ref, saved=saved, branch=branch or "", own=own)


def provisioning(reader: Reader, task: TaskId) -> Provisioning:
    """What provisioning needs of the task."""
    return Provisioning(task=task_view(reader, task), lost=beginning(reader, task).lost)


def organizations_with_open_tasks(reader: Reader) -> list[OrganizationId]:
    rows = reader.all(select(tasks.c.organization).where(tasks.c.state.in_(OPEN)).distinct())
    return [OrganizationId(row.organization) for row in rows]


def open_branches(
    reader: Reader, organization: OrganizationId, repository: RepositoryId | None = None
) -> list[OpenBranch]:
    """The branches of an organization's open tasks, or of those in one repository of it.

    A branch that is being renamed is left out: it is between two names.
    """
    query = BRANCHES.where(tasks.c.organization == organization)
    rows = reader.all(query if repository is None else query.where(tasks.c.repository_id == repository))
    return [
        from_row(OpenBranch, row, repository=repository_of(row), known=row.head, pull_request=pull_request_of(row))
        for row in rows
    ]
