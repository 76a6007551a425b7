"""What the edge reads of Repository."""

from __future__ import annotations

from sqlalchemy import select

from foundry.actors.repository.reservations import refuse_taken, reserved
from foundry.actors.repository.tables import repositories, repository_branches, repository_tasks
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import RepositoryId, TaskId
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import TaskSummary
from foundry.runtime.reader import Reader


def repository_view(reader: Reader, repository: RepositoryId) -> RepositoryRef:
    """The repository.

    Raises:
        NotFound: the App has never seen it.
    """
    row = reader.first(select(repositories.c.ref).where(repositories.c.repository == repository))
    if row is None:
        raise NotFound(f"no repository with id {repository}")
    return RepositoryRef.model_validate_json(row.ref)


def refuse_held(reader: Reader, repository: RepositoryId, task: TaskId, name: str) -> None:
    """Refuse at once a new name for the task's branch that another task holds.

    Raises:
        BranchTaken: it says which task.
    """
    c = repository_branches.c
    query = select(repository_branches).where(c.repository == repository, c.task != task)
    refuse_taken(name, reserved(reader.all(query)), field="name")


def task_list(reader: Reader, repository: RepositoryId, *, archived: bool = False) -> list[TaskSummary]:
    """The repository's tasks, the newest first; the archived ones in a list of their own."""
    tasks = repository_tasks.c
    query = select(tasks.summary).where(tasks.repository == repository, tasks.archived.is_(archived))
    rows = reader.all(query.order_by(tasks.created_at.desc(), tasks.task.desc()))
    found = [TaskSummary.model_validate_json(row.summary) for row in rows]
    if not found:
        return []
    ref = repository_view(reader, repository)
    return [task.at(ref) for task in found]
