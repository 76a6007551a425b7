"""What the edge reads of a Task."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from foundry.actors.task.tables import task_sessions_known, tasks
from foundry.contracts.addresses import task as address
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import SandboxId, SessionId, TaskId
from foundry.contracts.people import Person, RepositoryRef
from foundry.contracts.tasks import (
    ArchiveReason,
    Phase,
    PhaseTrouble,
    PullRequestRef,
    SessionSummary,
    TaskState,
    TaskSummary,
    TaskView,
    WorkTree,
)
from foundry.contracts.words import utc
from foundry.runtime.turn import AnyRow, Reader


def view(row: AnyRow, sessions: Sequence[AnyRow]) -> TaskView:
    """The task as its page shows it, from its rows."""
    known = [
        SessionSummary(
            id=SessionId(s.session),
            title=s.title,
            agent=s.agent,
            status=s.status,
            trouble=PhaseTrouble.model_validate_json(s.trouble) if s.trouble else None,
        )
        for s in sorted(sessions, key=lambda s: s.number)
    ]
    active = next((s.status for s in known if s.id == row.active_session), "")
    return TaskView(
        id=TaskId(row.task),
        repository=RepositoryRef.model_validate_json(row.repository),
        title=row.title,
        branch=row.branch,
        state=TaskState(row.state),
        phase=Phase(row.phase),
        phase_since=utc(row.phase_since),
        activity=active,
        trouble=PhaseTrouble.model_validate_json(row.trouble) if row.trouble else None,
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
        work=WorkTree.model_validate_json(row.work),
        publishing=row.publishing,
        note=row.note,
        auto_publish=row.auto_publish,
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
    return view(row, sessions)


def task_snapshot(reader: Reader, task: TaskId) -> tuple[int, TaskView]:
    """The topic's version and the whole task, from one snapshot."""
    return reader.version(address(task)), task_view(reader, task)


def announces(reader: Reader, session: SessionId) -> bool:
    """Whether a task has this session, be it only about to begin."""
    return reader.first(select(task_sessions_known.c.task).where(task_sessions_known.c.session == session)) is not None
