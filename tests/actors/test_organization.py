"""Organization: the lookup index that every list is read from, and the runtime issues."""

from __future__ import annotations

import pytest

from foundry.actors.organization.views import (
    issues,
    organization_view,
    organizations,
    repository_list,
    task_list,
)
from foundry.contracts import addresses
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import OrganizationId, RepositoryId
from foundry.contracts.issues import EndFailure, IssueKind, RecordFailure
from foundry.contracts.messages import ScopeId
from foundry.contracts.organization import ClearIssues, OrganizationSeen, RepositoriesSeen
from foundry.contracts.task import ArchiveReason, PullRequestRef, TaskSeen, TaskState
from tests.actors.tree import ORG, TALLY, failure, line, tally_tree

HERE = addresses.organization(ORG)


async def test_tasks_are_listed_newest_first_and_archived_ones_apart(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        for number in (2, 1, 3):
            await stage.say(TaskSeen(task=line(number)), to=HERE, sender=f"tsk_{number}")
        over = line(2, second=1, state=TaskState.ARCHIVED, archived=ArchiveReason.MERGED)
        await stage.say(TaskSeen(task=over), to=HERE, sender="tsk_2")
        assert [task.id for task in await stage.read(task_list, ORG)] == ["tsk_3", "tsk_1"]
        old = await stage.read(lambda r: task_list(r, ORG, archived=True))
        assert [(task.id, task.archived) for task in old] == [("tsk_2", "merged")]


async def test_an_older_line_never_replaces_a_newer_one(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        newer = line(1, second=9, title="newer", pull_request=PullRequestRef(number=4, state="open"))
        await stage.say(TaskSeen(task=newer), TaskSeen(task=line(1, second=3, title="older")), to=HERE)
        assert await stage.read(task_list, ORG) == [newer]
        await stage.say(TaskSeen(task=line(1, second=9, title="same moment, said later")), to=HERE)
        assert (await stage.read(task_list, ORG))[0].title == "same moment, said later"


async def test_a_renamed_repository_is_renamed_in_every_line(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        await stage.say(TaskSeen(task=line(1)), TaskSeen(task=line(2)), to=HERE)
        renamed = TALLY.model_copy(update={"name": "sums"})
        await stage.say(RepositoriesSeen(repositories=[renamed]), to=HERE)
        assert {task.repository.full_name for task in await stage.read(task_list, ORG)} == {"lumen-works/sums"}
        await stage.say(TaskSeen(task=line(1, second=5)), to=HERE)  # the task itself still knows the old name
        assert {task.repository.full_name for task in await stage.read(task_list, ORG)} == {"lumen-works/sums"}
        assert await stage.read(repository_list, ORG) == [renamed]


async def test_repositories_come_and_go(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        other = TALLY.model_copy(update={"id": RepositoryId("4009"), "name": "Abacus"})
        await stage.say(RepositoriesSeen(repositories=[TALLY, other]), to=HERE)
        assert [repository.name for repository in await stage.read(repository_list, ORG)] == ["Abacus", "tally"]
        version = await stage.read(lambda r: r.version(HERE))
        await stage.say(RepositoriesSeen(repositories=[other]), to=HERE)  # nothing new: nothing is published
        assert await stage.read(lambda r: r.version(HERE)) == version
        await stage.say(RepositoriesSeen(gone=[TALLY.id]), to=HERE)
        assert await stage.read(repository_list, ORG) == [other]


async def test_a_task_whose_repository_is_gone_is_listed_as_the_task_knows_it(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        renamed = TALLY.model_copy(update={"name": "sums"})
        await stage.say(TaskSeen(task=line(1)), RepositoriesSeen(repositories=[renamed]), to=HERE)
        await stage.say(RepositoriesSeen(gone=[TALLY.id]), to=HERE)  # its watchers get the line again
        assert [task.repository.name for task in await stage.read(task_list, ORG)] == ["tally"]


async def test_an_organization_without_the_app_is_not_offered(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        assert [o.login for o in await stage.read(organizations)] == ["lumen-works"]
        gone = OrganizationSeen(scope=ScopeId(ORG), id=ORG, login="lumen-works", name="Lumen", active=False)
        await stage.say(gone, to=HERE)
        assert await stage.read(organizations) == []
        assert (await stage.read(organization_view, ORG)).active is False
        with pytest.raises(NotFound):
            await stage.read(organization_view, OrganizationId("999"))


async def test_issues_are_recorded_updated_ended_and_cleared(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        await stage.ask(HERE, RecordFailure(failure=failure("a", "first")))
        await stage.ask(HERE, RecordFailure(failure=failure("a", "second", kind=IssueKind.WORKFLOW_FAILED)))
        (issue,) = await stage.read(issues, ORG)
        assert (issue.times, issue.failure.kind) == (2, IssueKind.WORKFLOW_FAILED)
        await stage.ask(HERE, RecordFailure(failure=failure("b")))
        await stage.ask(HERE, EndFailure(fingerprint="a"))
        assert await stage.ask(HERE, ClearIssues()) == 1


async def test_a_message_set_aside_becomes_an_issue_that_names_it(tmp_path: object) -> None:
    async with tally_tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        aside = failure("mail:7", kind=IssueKind.MESSAGE_SET_ASIDE, mailbox_id=7)
        await stage.ask(HERE, RecordFailure(failure=aside))
        (issue,) = await stage.read(issues, ORG)
        assert issue.failure.mailbox_id == 7
