"""Organization: the coordinator of what belongs to one GitHub organization or one person's account."""

from __future__ import annotations

from foundry.actors.organization.tables import (
    organization_issues,
    organization_repositories,
    organization_tasks,
    organizations,
)
from foundry.actors.organization.views import repository_refs, view
from foundry.actors.runtime_issues import IssueBook
from foundry.contracts import addresses
from foundry.contracts.issues import EndFailure, FailureEnded, FailureRaised, FailuresOver, RecordFailure
from foundry.contracts.messages import millis
from foundry.contracts.organization import (
    ClearIssues,
    OrganizationChanged,
    OrganizationListed,
    OrganizationSeen,
    RepositoriesChanged,
    RepositoriesSeen,
)
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import TaskListed, TaskSeen, TaskSummary
from foundry.runtime.actor import Actor, creates, handles, receives
from foundry.runtime.turn import Turn


class Organization(Actor):
    """Owns the lookup index (tasks, repositories) that every list is read from, and the runtime issues.

    Never asks its children for anything and never waits for work of theirs (R16): they tell it what changed.
    """

    topic = "organization"
    book = IssueBook(organization_issues)

    @creates(OrganizationSeen)
    def seen(self, turn: Turn, message: OrganizationSeen) -> None:
        """GitHub knows it, and the App is installed there; again for what changed (R13)."""
        values = {
            "login": message.login,
            "name": message.name,
            "avatar_url": message.avatar_url,
            "installation": message.installation,
            "active": message.active,
        }
        known = turn.find(organizations)
        if known is not None and all(getattr(known, name) == value for name, value in values.items()):
            return
        if known is None:
            turn.insert(organizations, **values)
        else:
            turn.update(organizations, **values)
        seen = view(turn.one(organizations))
        turn.publish(OrganizationChanged(entity="organization", organization=seen))
        turn.send(addresses.app_shell(), OrganizationListed(organization=seen))

    # the lookup index (R1)

    @receives(TaskSeen)
    def task_seen(self, turn: Turn, message: TaskSeen) -> None:
        """A task's line is new or changed; what is older than the line here is ignored."""
        task = message.task
        known = turn.find(organization_tasks, task=task.id)
        if known is not None and known.changed_at > millis(task.changed_at):
            return
        values = {
            "repository": task.repository.id,
            "archived": task.archived is not None,
            "created_at": millis(task.created_at),
            "changed_at": millis(task.changed_at),
            "summary": task.model_dump_json(),
        }
        turn.put(organization_tasks, {"task": task.id}, **values)
        repository = turn.find(organization_repositories, repository=task.repository.id)
        _publish(turn, task if repository is None else task.at(RepositoryRef.model_validate_json(repository.ref)))

    @receives(RepositoriesSeen)
    def repositories_seen(self, turn: Turn, message: RepositoriesSeen) -> None:
        """1. Keep the repositories the App may see. 2. A renamed one's tasks show its new name."""
        changed = 0
        for gone in message.gone:
            if turn.delete(organization_repositories, repository=gone):
                changed += 1
                for row in turn.all(organization_tasks, repository=gone):
                    _publish(turn, TaskSummary.model_validate_json(row.summary))
        for repository in message.repositories:
            known = turn.find(organization_repositories, repository=repository.id)
            ref = repository.model_dump_json()
            if known is not None and known.ref == ref:
                continue
            changed += 1
            if known is None:
                turn.insert(
                    organization_repositories, repository=repository.id, full_name=repository.full_name, ref=ref
                )
            else:
                where = {"repository": repository.id}
                turn.update(organization_repositories, where, full_name=repository.full_name, ref=ref)
            for row in turn.all(organization_tasks, repository=repository.id):
                _publish(turn, TaskSummary.model_validate_json(row.summary).at(repository))
        if changed:
            refs = repository_refs(turn.all(organization_repositories))
            turn.publish(RepositoriesChanged(entity="repositories", repositories=refs))

    # runtime issues (R18-R20)

    @receives(FailureRaised)
    def failure_raised(self, turn: Turn, message: FailureRaised) -> None:
        self.book.record(turn, message.failure)

    @receives(FailureEnded)
    def failure_ended(self, turn: Turn, message: FailureEnded) -> None:
        self.book.end(turn, message.fingerprint)

    @receives(FailuresOver)
    def failures_over(self, turn: Turn, message: FailuresOver) -> None:
        self.book.end_all(turn, message.actors, message.code)

    @handles(RecordFailure)
    def record_failure(self, turn: Turn, command: RecordFailure) -> None:
        self.book.record(turn, command.failure)

    @handles(EndFailure)
    def end_failure(self, turn: Turn, command: EndFailure) -> None:
        self.book.end(turn, command.fingerprint)

    @handles(ClearIssues)
    def clear_issues(self, turn: Turn, command: ClearIssues) -> int:
        return self.book.clear(turn, command.issue)


def _publish(turn: Turn, task: TaskSummary) -> None:
    turn.publish(TaskListed(entity=task.id, repository=task.repository.id, task=task))
