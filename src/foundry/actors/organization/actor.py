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
from foundry.actors.task_index import put_line
from foundry.contracts import addresses
from foundry.contracts.issues import EndFailure, FailureEnded, FailureRaised, FailuresOver, RecordFailure
from foundry.contracts.organization import (
    ClearIssues,
    OrganizationChanged,
    OrganizationListed,
    OrganizationSeen,
    OrganizationView,
    RepositoriesChanged,
    RepositoriesSeen,
    SetPublicWork,
)
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import TaskListed, TaskSeen, TaskSummary
from foundry.runtime.actor import Actor, creates, handles, receives
from foundry.runtime.turn import Turn


class Organization(Actor):
    """Owns the lookup index (tasks, repositories) that every list is read from, and the runtime issues.

    Never asks its children for anything and never waits for their work (R16). They report what changed.
    """

    topic = "organization"
    book = IssueBook(organization_issues)

    @creates(OrganizationSeen)
    def seen(self, turn: Turn, message: OrganizationSeen) -> None:
        """The App is installed in this organization, or the organization has changed at GitHub (R13)."""
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
        turn.put(organizations, **values)
        _tell(turn)

    @handles(SetPublicWork)
    def set_public_work(self, turn: Turn, command: SetPublicWork) -> OrganizationView:
        """1. Store it. 2. Whoever watches looks again at what they may see."""
        if bool(turn.one(organizations).public_work) != command.shown:
            turn.update(organizations, public_work=command.shown)
            _tell(turn)
        return view(turn.one(organizations))

    # the lookup index (R1)

    @receives(TaskSeen)
    def task_seen(self, turn: Turn, message: TaskSeen) -> None:
        """Store the task's line and publish it, unless the stored line is newer."""
        task = message.task
        if not put_line(turn, organization_tasks, task, repository=task.repository.id):
            return
        repository = turn.find(organization_repositories, repository=task.repository.id)
        _publish(turn, task if repository is None else task.at(RepositoryRef.model_validate_json(repository.ref)))

    @receives(RepositoriesSeen)
    def repositories_seen(self, turn: Turn, message: RepositoriesSeen) -> None:
        """1. Store the repositories that the App may see. 2. Show the new name of a renamed one on its tasks."""
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
            where = {"repository": repository.id}
            turn.put(organization_repositories, where, full_name=repository.full_name, ref=ref)
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


def _tell(turn: Turn) -> None:
    seen = view(turn.one(organizations))
    turn.publish(OrganizationChanged(entity="organization", organization=seen))
    turn.send(addresses.app_shell(), OrganizationListed(organization=seen))


def _publish(turn: Turn, task: TaskSummary) -> None:
    turn.publish(TaskListed(entity=task.id, repository=task.repository.id, task=task))
