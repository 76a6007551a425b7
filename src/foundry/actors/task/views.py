"""What the edge, the workflows and the task's own turns read of a Task."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Table, select

from foundry.actors.task.jobs import Beginning, Provisioning
from foundry.actors.task.operations import failure_of
from foundry.actors.task.tables import (
    checkpoints,
    diffs,
    former_branches,
    lost_sandboxes,
    operations,
    releases,
    remote_branches,
    renames,
    task_sessions_known,
    tasks,
)
from foundry.contracts.addresses import task as address
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import CheckpointId, MessageId, OrganizationId, RepositoryId, SandboxId, SessionId, TaskId
from foundry.contracts.messages import utc
from foundry.contracts.overdue import Overdue
from foundry.contracts.people import Person
from foundry.contracts.remote_branch import OpenBranch, RemoteHead, shown
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import (
    ArchiveReason,
    BranchRename,
    Phase,
    PhaseFailure,
    PullRequestRef,
    SessionSummary,
    TaskState,
    TaskSummary,
    TaskView,
    WorkTree,
)
from foundry.contracts.task_checkpoints import CheckpointMissing, CheckpointReason, CheckpointRef, CheckpointView, Saved
from foundry.contracts.task_operations import Kind
from foundry.contracts.task_rename import RenameWish
from foundry.runtime.turn import AnyRow, Reader, Running, Turn

OPEN = (TaskState.PROVISIONING.value, TaskState.FAILED.value, TaskState.READY.value)
BRANCHES = (
    select(
        *tasks.c["repository_id", "organization", "branch", "pull_request_number", "pull_request_ended"],
        remote_branches.c.task.label("heard"),
        remote_branches.c.head,
    )
    .outerjoin(remote_branches, remote_branches.c.task == tasks.c.task)
    .outerjoin(renames, renames.c.task == tasks.c.task)
    .where(tasks.c.state.in_(OPEN), tasks.c.branch.is_not(None), renames.c.task.is_(None))
    .order_by(tasks.c.task)
)


class Rows(Protocol):
    """The rows of one task, whoever reads them."""

    def find(self, table: Table) -> AnyRow | None: ...
    def all(self, table: Table) -> Sequence[AnyRow]: ...
    def running(self) -> Sequence[Running]: ...


@dataclass(frozen=True)
class Stored:
    """`Rows` for readers."""

    reader: Reader
    task: TaskId

    def find(self, table: Table) -> AnyRow | None:
        return self.reader.first(select(table).where(table.c.task == self.task))

    def all(self, table: Table) -> Sequence[AnyRow]:
        return self.reader.all(select(table).where(table.c.task == self.task))

    def running(self) -> Sequence[Running]:
        return self.reader.running(address(self.task))


def view(rows: Rows) -> TaskView:
    """The task as its page shows it. Of its repository and pull request it has what the task keeps (R14).

    Raises:
        NotFound: there is no such task.
    """
    row = rows.find(tasks)
    if row is None:
        raise NotFound("no such task")
    known = sessions_of(rows.all(task_sessions_known))
    active = next((one for one in known if one.id == row.active_session), None)
    kept = {Kind(one.kind): one for one in rows.all(operations) if one.kind in set(Kind)}
    runs = {one.name for one in rows.running() if not one.cancelling}
    rename = rename_of(rows.find(renames), kept.get(Kind.RENAME))
    failure = next((one for kind in SHOWN if (one := failure_of(kept.get(kind)))), None)
    if failure is None and active and row.state == TaskState.READY and row.phase != Phase.RUNNING:
        failure = active.failure
    released = rows.find(releases)
    work = WorkTree.model_validate_json(row.work)
    remote = remote_head(rows.find(remote_branches))
    publishing = kept.get(Kind.PUBLISH)
    return TaskView(
        id=TaskId(row.task),
        repository=repository_of(row),
        title=row.title,
        branch=row.branch,
        state=TaskState(row.state),
        phase=Phase(row.phase),
        phase_since=utc(row.phase_since),
        activity=active.status if active else "",
        failure=failure or (rename and rename.failure),
        overdue=Overdue.model_validate_json(row.overdue) if row.overdue else active and active.overdue,
        pull_request=pull_request_of(row),
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
        publishing=publishing.step if publishing and Kind.PUBLISH in runs else "",
        rename=rename,
        renaming=Kind.RENAME in runs,
        checkpoint=max((one.number for one in rows.all(checkpoints) if one.saved), default=0),
        begins_from=CheckpointRef.model_validate_json(row.begins_from) if row.begins_from else None,
        saving=Kind.CHECKPOINT in runs,
        restoring=Kind.RESTORE in runs,
        upstream=None if row.archived else shown(remote, work, row.branch or ""),
        fetching=Kind.FETCH in runs,
        sandbox_stopped=row.sandbox_stopped and Kind.IDLE_STOP not in runs,
        checkpoint_failure=failure_of(kept.get(Kind.CHECKPOINT)),
        retained=released.retained if released else "",
        remove_at=utc(released.remove_at) if released and released.remove_at else None,
        note=row.note,
        auto_publish=row.auto_publish,
    )


SHOWN = (Kind.PROVISION, Kind.RECOVERY, Kind.PUBLISH)  # whose failure is the task's


def repository_of(row: AnyRow) -> RepositoryRef:
    """The task's repository with its id only. Readers that need the name look it up."""
    return RepositoryRef.of(RepositoryId(row.repository_id), OrganizationId(row.organization))


def remote_head(row: AnyRow | None) -> RemoteHead | None:
    """GitHub's branch as `remote_branches` has it."""
    if row is None:
        return None
    kept = {name: getattr(row, name) for name in RemoteHead.model_fields}
    return RemoteHead(**{**kept, "pushed": json.loads(row.pushed)})


def rename_of(row: AnyRow | None, kept: AnyRow | None) -> BranchRename | None:
    """The rename that is under way or failed half-way.

    Args:
        row: of `renames`.
        kept: of `operations`, for its step and its failure.
    """
    if row is None:
        return None
    return BranchRename(
        old=row.old,
        new=row.new,
        step=kept.step if kept else "",
        replaces=row.replaces,
        touched=row.touched,
        asked=row.asked,
        giving_up=row.giving_up,
        merged=row.merged,
        failure=failure_of(kept),
    )


def pull_request_of(row: AnyRow) -> PullRequestRef | None:
    """Its number, and what the task made of it; the rest is joined where it is shown."""
    if row.pull_request_number is None:
        return None
    return PullRequestRef(number=row.pull_request_number, state=row.pull_request_ended or "open")


def sessions_of(rows: Sequence[AnyRow]) -> list[SessionSummary]:
    return [
        SessionSummary(
            id=SessionId(s.session),
            title=s.title,
            agent=s.agent,
            status=s.status,
            stopped=s.sandbox_stopped,
            failure=PhaseFailure.model_validate_json(s.failure) if s.failure else None,
            overdue=Overdue.model_validate_json(s.overdue) if s.overdue else None,
        )
        for s in sorted(rows, key=lambda s: s.number)
    ]


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


def in_turn(turn: Turn) -> TaskView:
    """The task as this turn has made it."""
    return view(turn)


# for the edge


def task_view(reader: Reader, task: TaskId) -> TaskView:
    """The whole task.

    Raises:
        NotFound: there is none with this id.
    """
    try:
        return view(Stored(reader, task))
    except NotFound:
        raise NotFound(f"no task with id {task}") from None


def task_diff(reader: Reader, task: TaskId) -> WorkTree:
    """The work tree with its diff, as last seen."""
    work = task_view(reader, task).work
    row = reader.first(select(diffs.c.diff).where(diffs.c.task == task))
    return work.model_copy(update={"diff": row.diff if row else ""})


def checkpoint_list(reader: Reader, task: TaskId) -> list[CheckpointView]:
    """What was saved of the task's work, the latest first."""
    query = select(checkpoints).where(checkpoints.c.task == task, checkpoints.c.saved != "")
    return [checkpoint_view(row) for row in reader.all(query.order_by(checkpoints.c.number.desc()))]


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


def announces(reader: Reader, session: SessionId) -> bool:
    """Return True if a task has this session, even if the session is still starting."""
    return reader.first(select(task_sessions_known.c.task).where(task_sessions_known.c.session == session)) is not None


# for workflows and the poller


def rename_view(reader: Reader, task: TaskId) -> RenameWish:
    """The task's rename as it stands now."""
    row = reader.one(select(tasks).where(tasks.c.task == task))
    rename = reader.one(select(renames).where(renames.c.task == task))
    return RenameWish(
        task=task,
        repository=repository_of(row),
        sandbox=SandboxId(row.sandbox),
        old=rename.old,
        new=rename.new,
        replaces=rename.replaces,
        asked=rename.asked,
        giving_up=rename.giving_up,
    )


def beginning(reader: Reader, task: TaskId) -> Beginning:
    """What the task's sandbox is made from, besides GitHub.

    Raises:
        CheckpointMissing: the checkpoint is no longer listed.
    """
    row = reader.one(select(tasks).where(tasks.c.task == task))
    c = lost_sandboxes.c
    gone = reader.first(select(c.sandbox).where(c.task == task, c.replaced.is_(False)).order_by(c.at.desc()))
    lost = SandboxId(gone.sandbox) if gone else None
    if not row.begins_from:
        return Beginning(lost=lost)
    ref = CheckpointRef.model_validate_json(row.begins_from)
    saved, own = checkpoint_of(reader, ref).saved, ref.task == task
    former = reader.all(select(former_branches.c.branch).where(former_branches.c.task == task))
    names = ("", row.branch, *(one.branch for one in former))
    elsewhere = own and saved.branch not in names  # the agent had another branch checked out
    branch = saved.branch if elsewhere else row.branch or ""  # a new task is named only later
    return Beginning(lost=lost, source=ref, saved=saved, branch=branch, own=own)


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
        OpenBranch(
            repository=repository_of(row),
            branch=row.branch,
            known=row.head,
            heard=row.heard is not None,
            pull_request=pull_request_of(row),
        )
        for row in rows
    ]
