"""Repository: one repository's branches, tasks and what happened in it."""

from __future__ import annotations

from datetime import datetime

from foundry.actors.repository.reservations import free_branch, refuse_taken, reserved
from foundry.actors.repository.tables import repositories, repository_branches, repository_tasks
from foundry.actors.task_index import put_line
from foundry.contracts import addresses
from foundry.contracts.history import HistoryEntry
from foundry.contracts.ids import RepositoryId, TaskId
from foundry.contracts.messages import millis
from foundry.contracts.people import Person
from foundry.contracts.repository import (
    GiveBackBranch,
    RepositoryChanged,
    RepositoryRef,
    RepositorySeen,
    ReserveBranch,
    ReserveRename,
)
from foundry.contracts.task import ArchiveReason, PullRequestSeen, TaskListed, TaskSeen, TaskSummary
from foundry.contracts.task_branch import BranchMoved
from foundry.runtime.actor import Actor, creates, handles, receives
from foundry.runtime.turn import Turn

ENDED = {
    ArchiveReason.ARCHIVED: "was archived",
    ArchiveReason.KILLED: "was ended and archived",
    ArchiveReason.MERGED: "was merged and archived",
}


class Repository(Actor):
    """Owns which task holds which branch, and the repository's index of tasks; tells History what happened.

    Keeps nothing of a pull request (R14): what GitHubState says of one goes on to the task that holds its branch.
    """

    topic = "repository"

    @creates(RepositorySeen)
    def seen(self, turn: Turn, message: RepositorySeen) -> None:
        """GitHub has this repository, or its name, owner or default branch has changed. Its tasks then show that."""
        repository = message.repository
        turn.put(repositories, organization=repository.organization, ref=repository.model_dump_json())
        turn.publish(RepositoryChanged(entity="repository", repository=turn.key, ref=repository))
        for row in turn.all(repository_tasks):
            self._publish(turn, TaskSummary.model_validate_json(row.summary), repository)

    @handles(ReserveBranch)
    def reserve_branch(self, turn: Turn, command: ReserveBranch) -> str:
        """1. A task with a branch keeps it (R4). 2. A name that a person chose is reserved or refused. 3. Another name
        gets a suffix if it is taken.
        """
        held = turn.find(repository_branches, task=command.task)
        if held is not None:
            return held.branch
        taken = reserved(turn.all(repository_branches))
        branch = command.wanted
        if command.exact:
            refuse_taken(branch, taken, command.remote)
        else:
            branch = free_branch(branch, taken.keys() | set(command.remote))
        turn.insert(repository_branches, branch=branch, task=command.task, reserved_at=millis(turn.now))
        return branch

    @handles(ReserveRename)
    def reserve_rename(self, turn: Turn, command: ReserveRename) -> None:
        """While a branch is being renamed, its task holds both names, and no other task gets either."""
        others = [row for row in turn.all(repository_branches) if row.task != command.task]
        refuse_taken(command.wanted, reserved(others), command.remote, field="name")
        turn.update(repository_branches, {"task": command.task}, renaming_to=command.wanted)

    @handles(GiveBackBranch)
    def give_back_branch(self, turn: Turn, command: GiveBackBranch) -> None:
        """Release the old name after a rename, or the new name if the rename was given up."""
        held = turn.find(repository_branches, task=command.task)
        if held is None or held.renaming_to is None:
            return
        if command.branch == held.renaming_to:
            turn.update(repository_branches, {"task": command.task}, renaming_to=None)
        elif command.branch == held.branch:
            turn.update(repository_branches, {"task": command.task}, branch=held.renaming_to, renaming_to=None)
            text = f"Branch {held.branch} was renamed to {held.renaming_to}"
            self._tell(turn, "branch_renamed", text, turn.now, task=command.task)

    # the task index (R3)

    @receives(TaskSeen)
    def task_seen(self, turn: Turn, message: TaskSeen) -> None:
        """1. Store the task's line, unless the stored line is newer. 2. Tell History of its start and its end."""
        task = message.task
        known = turn.find(repository_tasks, task=task.id)
        if not put_line(turn, repository_tasks, task):
            return
        self._publish(turn, task, RepositoryRef.model_validate_json(turn.one(repositories).ref))
        if known is None:
            text = f"Task “{task.title}” was created"
            self._tell(turn, "task_created", text, task.created_at, task=task.id, person=task.created_by)
        if task.archived is not None and (known is None or not known.archived):
            text = f"Task “{task.title}” {ENDED[task.archived]}"
            self._tell(turn, "task_archived", text, task.changed_at, task=task.id)

    def _publish(self, turn: Turn, task: TaskSummary, repository: RepositoryRef) -> None:
        turn.publish(TaskListed(entity=task.id, repository=turn.key, task=task.at(repository)))

    # what GitHub says of branches and pull requests passes through

    @receives(BranchMoved)
    def branch_moved(self, turn: Turn, message: BranchMoved) -> None:
        """Forward it to the task that holds the branch, if there is one."""
        held = self._holder(turn, message.branch)
        if held is not None:
            turn.send(addresses.task(held), message)

    @receives(PullRequestSeen)
    def pull_request_seen(self, turn: Turn, message: PullRequestSeen) -> None:
        """1. Forward it to the task that holds the branch. 2. Tell History if it was opened, closed or merged."""
        task = self._holder(turn, message.head)
        if task is not None:
            turn.send(addresses.task(task), message)
        if message.action in ("opened", "reopened", "closed", "merged"):
            name = f"Pull request #{message.number}" + (f" “{message.title}”" if message.title else "")
            closed = "closed without merging" if message.action == "closed" else message.action
            at = message.at or turn.now
            self._tell(turn, f"pull_request_{message.action}", f"{name} was {closed}", at, task=task)

    def _holder(self, turn: Turn, branch: str) -> TaskId | None:
        held = turn.find(repository_branches, branch=branch) or turn.find(repository_branches, renaming_to=branch)
        return None if held is None else TaskId(held.task)

    def _tell(
        self, turn: Turn, what: str, text: str, at: datetime, *, task: TaskId | None, person: Person | None = None
    ) -> None:
        repository = RepositoryId(turn.key)
        entry = HistoryEntry(
            parent=turn.address, scope=turn.scope, what=what, text=text, person=person, task=task, at=at
        )
        turn.send(addresses.history(repository), entry)
