"""The task's branch on GitHub: what is heard of it, when its commits are got, and what stands in their way.

GitHub and the sandbox are the world's here; tests/system/test_upstream.py does it to real git and the stand-in.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from foundry.contracts import addresses
from foundry.contracts.errors import FoundryError, WrongState
from foundry.contracts.github_state import (
    InstallationSummary,
    Member,
    PullRequestState,
    PullRequestView,
    SyncInstallations,
    delivery,
)
from foundry.contracts.ids import OrganizationId, SandboxId, SessionId, new_id
from foundry.contracts.messages import utc
from foundry.contracts.remote_branch import SKEW, RemoteHead, after_news, after_push, shown
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import GitFailed, GitRejected
from foundry.contracts.task import (
    ArchiveTask,
    FetchBranch,
    PublishTask,
    RefreshWork,
    RestoreCheckpoint,
    StopSandbox,
    TaskState,
    TaskView,
    WorkTree,
)
from foundry.contracts.task_branch import BranchMoved, UpstreamState
from foundry.contracts.task_rename import RenameBranch
from foundry.contracts.task_session import MessageState
from tests.waiting import eventually
from tests.world.outside import Scripted
from tests.world.world import ADA, ORGANIZATION, REPOSITORY, World, world

OWN, THEIRS, LATER = "1" * 40, "2" * 40, "3" * 40
ZERO = "0" * 40
NOW = 1_800_000_000_000  # Unix milliseconds


# which words are news


def told(head: str | None, before: str | None = None, seconds: int | None = None, **more: Any) -> BranchMoved:
    """By a webhook that is dated so many seconds after NOW."""
    at = None if seconds is None else utc(NOW + seconds * 1000)
    return BranchMoved(branch="fix", head=head, before=before, at=at, **more)


def after(*words: BranchMoved, known: RemoteHead | None = None) -> RemoteHead:
    for word in words:
        known = after_news(known, word, NOW) or known
    assert known is not None
    return known


A, B, C = "a" * 40, "b" * 40, "c" * 40


@pytest.mark.parametrize(
    ("words", "head"),
    [
        ([told(A, None, 1), told(B, A, 5), told(C, B, 9)], C),
        ([told(A, None, 1), told(C, B, 9), told(B, A, 5)], C),  # in another order
        ([told(A, None, 1), told(B, A, 5), told(C, B, 5), told(B, A, 5)], C),  # in one second, and twice
        ([told(A, None, 1), told(C, B, 5), told(B, A, 5)], C),
        ([told(A, None, 1), told(B, A, 5), told(A, B, 9)], A),  # set back
        ([told(A, None, 1), told(None, A, 5)], None),
        ([told(A, None, 1), told(None, None, 5), told(None, A, 5)], None),  # `delete` says less than its `push`
        ([told(A, None, 1), told(None, A, 5), told(B, None, 5)], B),
        ([told(A, None, 1), told(B, None, 5), told(None, A, 3)], B),  # made again, and the deletion comes late
        ([told(A, None, 1), told(None, A, 5), told("", None, 9)], ""),  # `create` does not say where
        ([told(A, None, 5), told("", None, 5)], A),
        ([told("", None, 5), told(None, None, 5), told(A, None, 5)], A),
        ([told(A, None, 1), told(C, A, 9, compared=True)], C),
        ([told(A, None, 1), told(B, A, 5), told(C, A, 9, compared=True)], B),  # heard while they looked
    ],
)
def test_older_words_never_overwrite_newer_ones(words: list[BranchMoved], head: str | None) -> None:
    assert after(*words).head == head


def test_the_tasks_own_pushes_are_no_news_in_whatever_order_github_tells_of_them() -> None:
    known = after_push(after_push(after_push(None, A, NOW), B, NOW), C, NOW)
    for word in (told(A, None, 1), told(C, B, 2), told(B, A, 1)):
        assert after_news(known, word, NOW) is None
    assert after(told(A, C, 9), known=known).head == A, "set back by somebody"


def test_what_is_dated_long_before_the_own_push_is_no_news() -> None:
    known = after_push(RemoteHead(head=A, since=NOW - 10 * SKEW), B, NOW)
    assert after_news(known, told(C, A, -2 * SKEW // 1000), NOW) is None


@pytest.mark.parametrize(
    ("heard", "work", "state"),
    [
        (RemoteHead(head=A), WorkTree(head=A), UpstreamState.EVEN),
        (RemoteHead(head=A), WorkTree(head=B, upstream=A), UpstreamState.EVEN),
        (RemoteHead(head=A), WorkTree(head=B, upstream=A, behind=2), UpstreamState.FETCHED),
        (RemoteHead(head=A), WorkTree(head=B, upstream=C), UpstreamState.AHEAD),
        (RemoteHead(head=""), WorkTree(head=B, upstream=B), UpstreamState.AHEAD),
        (RemoteHead(head=None), WorkTree(head=B, upstream=B), UpstreamState.DELETED),
    ],
)
def test_what_is_said_of_it(heard: RemoteHead, work: WorkTree, state: UpstreamState) -> None:
    seen = shown(heard, work, "fix")
    assert seen is not None
    assert seen.state is state
    assert bool(seen.said) is (state is not UpstreamState.EVEN)


# the task


class Hub(Scripted):
    """A GitHub with one installation, and pull request 7."""

    def __init__(self) -> None:
        super().__init__()
        self.pull = "open"
        self.refusals: list[FoundryError] = []

    async def installations(self) -> list[InstallationSummary]:
        return [InstallationSummary(id=3001, organization=ORGANIZATION, login="lumen-works")]

    async def repositories(self, organization: OrganizationId, installation: int) -> list[RepositoryRef]:
        return [REPOSITORY]

    async def members(self, login: str, installation: int) -> list[Member]:
        return []

    async def pull_requests(self, repository: RepositoryRef) -> list[PullRequestView]:
        return []

    async def open_pull_requests(self, repository: RepositoryRef) -> list[int]:
        return [7] if self.pull == "open" else []

    async def pull_request(self, repository: RepositoryRef, number: int) -> PullRequestView:
        await self._do("pull_request")
        view = {"head": next(iter(self.heads_there)), "base": "main", "head_repository": repository.id}
        return PullRequestView(repository=repository.id, number=number, state=PullRequestState(self.pull), **view)

    async def push(self, sandbox: SandboxId, repository: RepositoryRef, *, branch: str, token: str) -> str:
        if self.refusals:
            raise self.refusals.pop()
        await super().push(sandbox, repository, branch=branch, token=token)
        self.work = self.work.model_copy(update={"upstream": OWN, "unpushed": 0, "behind": 0})
        return OWN


class Published:
    """One task whose branch is on GitHub, and what others do there."""

    def __init__(self, tree: World, hub: Hub, view: TaskView) -> None:
        self.tree, self.hub, self.id, self.branch = tree, hub, view.id, view.branch or ""

    async def ask(self, command: Any) -> Any:
        return await self.tree.ask(addresses.task(self.id), command)

    async def until(self, holds: Any) -> TaskView:
        return await self.tree.until(self.id, holds)

    async def is_(self, state: UpstreamState) -> TaskView:
        return await self.until(lambda t: t.upstream and t.upstream.state is state and not t.fetching)

    async def webhook(self, event: str, **payload: Any) -> None:
        body = {"installation": {"id": 3001}, "repository": {"id": int(REPOSITORY.id)}, **payload}
        word = delivery(new_id("dlv"), event, json.dumps(body).encode())
        await self.tree.ask(addresses.github_app(), word)

    async def pushed(self, head: str | None, before: str | None = OWN, *, silent: bool = False) -> None:
        """Somebody else pushes; None: deletes."""
        self.hub.heads_there.pop(self.branch, None)
        if head:
            self.hub.heads_there[self.branch] = head
        if not silent:
            ref = f"refs/heads/{self.branch}"
            await self.webhook("push", ref=ref, before=before or ZERO, after=head or ZERO)

    async def say(self, text: str) -> SessionId:
        session = (await self.tree.task(self.id)).active_session
        assert session
        await self.tree.send(session, text)
        return session

    async def works(self) -> None:
        """An agent has the work tree."""
        await self.say("Go on")
        await eventually(lambda: self.hub.prompts)


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Published]:
    hub = Hub()
    async with world(f"sqlite:///{tmp_path}/foundry.db", hub, idle=timedelta(hours=1)) as tree:
        await tree.ask(addresses.github_app(), SyncInstallations())
        await eventually(lambda: tree.read(lambda r: r.exists(addresses.github(ORGANIZATION))))
        task = await tree.create("Do it")
        await eventually(lambda: hub.prompts, limit=15)
        hub.end_turn()
        await tree.until(task, lambda t: t.activity == "idle" and not t.saving and t.checkpoint)
        hub.work = WorkTree(head=OWN, commits_ahead=1, unpushed=1)
        await tree.ask(addresses.task(task), PublishTask(person=ADA))
        view = await tree.until(task, lambda t: t.pull_request and not t.publishing)
        assert view.upstream
        assert view.upstream.state is UpstreamState.EVEN
        yield Published(tree, hub, view)


async def test_a_push_by_somebody_else_is_got_and_the_work_tree_follows(one: Published) -> None:
    await one.pushed(THEIRS)
    view = await one.until(lambda t: t.work.head == THEIRS and not t.fetching)
    assert view.upstream
    assert (view.upstream.head, view.upstream.state) == (THEIRS, UpstreamState.EVEN)
    assert "1 commit from GitHub" in view.note


async def test_it_is_noticed_without_a_webhook(one: Published) -> None:
    await one.pushed(THEIRS, silent=True)
    await one.until(lambda t: t.work.head == THEIRS and not t.fetching)


async def test_the_own_push_is_no_news(one: Published) -> None:
    fetched = one.hub.done["fetch"]
    await one.webhook("push", ref=f"refs/heads/{one.branch}", before=ZERO, after=OWN)
    await one.webhook("create", ref=one.branch, ref_type="branch")
    await one.webhook("push", ref="refs/heads/main", before=OWN, after=THEIRS)  # another branch
    await one.webhook("push", ref=f"refs/tags/{one.branch}", before=ZERO, after=THEIRS)
    await one.ask(FetchBranch())
    await one.until(lambda t: not t.fetching)
    assert one.hub.done["fetch"] == fetched + 1, "the one that was asked for"
    assert (await one.is_(UpstreamState.EVEN)).work.head == OWN


async def test_what_is_not_committed_is_left_alone_and_the_commits_are_there_to_be_merged(one: Published) -> None:
    one.hub.work = one.hub.work.model_copy(update={"changed_files": ["notes.txt"]})
    await one.pushed(THEIRS)
    view = await one.is_(UpstreamState.FETCHED)
    assert view.upstream
    assert f"origin/{one.branch}: ask the agent to merge or rebase" in view.upstream.said
    assert view.work.head == OWN
    assert view.work.behind == 1


async def test_beside_an_agent_at_work_it_is_got_and_the_work_tree_follows_when_that_has_ended(one: Published) -> None:
    await one.works()
    await one.pushed(THEIRS)
    view = await one.is_(UpstreamState.FETCHED)
    assert one.hub.done["forward"] == 0
    assert view.work.head == OWN
    one.hub.end_turn()
    await one.until(lambda t: t.work.head == THEIRS and not t.fetching)


async def test_no_prompt_gets_the_work_tree_while_it_is_brought_forward(one: Published) -> None:
    let_go = one.hub.hold("forward")
    await one.pushed(THEIRS)
    await eventually(lambda: one.hub.done["forward"])
    session = await one.say("Go on")
    await one.tree.quiet()
    shown = await one.tree.session(session)
    assert [message.state for message in shown.messages] == [MessageState.QUEUED]
    assert one.hub.prompts == []
    let_go.set()
    await eventually(lambda: one.hub.prompts)
    assert one.hub.work.head == THEIRS


async def test_a_fetch_that_fails_for_good_says_so_and_prompts_go_on(one: Published) -> None:
    one.hub.fail["forward"] = [GitConflict("no")]
    await one.pushed(THEIRS)
    await one.until(lambda t: "GitHub's commits were not fetched: no" in t.note and not t.fetching)
    await one.works()


class GitConflict(FoundryError, code="test_conflict", status=409):
    """A failure that trying again does not help."""


async def test_one_that_failed_is_not_tried_again_by_itself_but_when_asked(one: Published) -> None:
    one.hub.fail["fetch"] = [GitConflict("no")]
    await one.pushed(THEIRS)
    view = await one.is_(UpstreamState.AHEAD)
    assert view.upstream
    assert "commits that are not here" in view.upstream.said
    tried = one.hub.done["fetch"]
    await one.ask(FetchBranch())
    await one.until(lambda t: t.work.head == THEIRS and not t.fetching)
    assert one.hub.done["fetch"] == tried + 1


async def test_a_sandbox_that_rests_is_woken_only_by_who_asks(one: Published) -> None:
    await one.until(lambda t: not t.saving)
    await one.ask(StopSandbox())
    await one.until(lambda t: t.sandbox_stopped)
    await one.pushed(THEIRS)
    view = await one.is_(UpstreamState.AHEAD)
    assert view.sandbox_stopped
    assert one.hub.done["fetch"] == 0
    woken = one.hub.done["wake"]
    await one.ask(FetchBranch())
    view = await one.until(lambda t: t.work.head == THEIRS and not t.fetching)
    assert not view.sandbox_stopped
    assert one.hub.done["wake"] > woken


async def test_a_sandbox_that_does_not_answer_is_left_alone(one: Published) -> None:
    async def exists(sandbox: SandboxId) -> bool:
        one.hub.done["exists"] += 1
        return False

    one.hub.exists = exists  # type: ignore[method-assign]
    await one.pushed(THEIRS)
    await eventually(lambda: one.hub.done["exists"])
    view = await one.is_(UpstreamState.AHEAD)
    assert not view.note
    assert one.hub.done["fetch"] == 0


async def test_a_branch_that_was_deleted_is_said_and_publishing_pushes_it_again(one: Published) -> None:
    await one.pushed(None)
    view = await one.is_(UpstreamState.DELETED)
    assert view.upstream
    assert view.upstream.said == "The branch was deleted on GitHub; publishing pushes it again."
    await one.ask(PublishTask(person=ADA))
    await one.is_(UpstreamState.EVEN)
    assert one.hub.heads_there == {one.branch: OWN}


async def test_a_deletion_is_noticed_without_a_webhook(one: Published) -> None:
    await one.pushed(None, silent=True)
    await one.is_(UpstreamState.DELETED)


async def test_a_merge_whose_webhook_was_missed_archives_the_task(one: Published) -> None:
    one.hub.pull = "merged"
    view = await one.until(lambda t: t.state is TaskState.ARCHIVED)
    assert view.archived == "merged"
    assert view.upstream is None


async def test_a_pull_request_that_github_knows_to_be_closed_is_told_again(one: Published) -> None:
    """GitHubState had heard of it before the task knew the number."""
    one.hub.pull = "closed"
    await one.until(lambda t: t.pull_request and t.pull_request.state == "closed")
    one.hub.pull = "open"
    await one.until(lambda t: t.pull_request and t.pull_request.state == "open")


async def test_what_github_would_not_take_is_got_by_itself(one: Published) -> None:
    """Nobody has told of it yet."""
    one.hub.work = one.hub.work.model_copy(update={"head": LATER, "unpushed": 1})
    await one.pushed(THEIRS, silent=True)
    held = one.hub.hold("heads")  # nor does who compares
    one.hub.refusals = [GitRejected("! [rejected] (fetch first)")]
    await one.ask(PublishTask(person=ADA))
    view = await one.is_(UpstreamState.FETCHED)
    assert view.failure
    assert "let the agent merge origin/" in view.failure.remedy
    assert view.work.behind == 1
    held.set()


async def test_where_nothing_differs_no_turn_is_taken(one: Published) -> None:
    await one.until(lambda t: not t.saving and not t.fetching)
    seen = one.hub.done["heads"]
    before = (await one.tree.task(one.id)).changed_at
    await eventually(lambda: one.hub.done["heads"] > seen + 3)
    assert (await one.tree.task(one.id)).changed_at == before
    assert one.hub.done["pull_request"] == 0


async def test_github_that_does_not_answer_is_asked_again_later(one: Published) -> None:
    one.hub.fail["heads"] = [GitFailed("away")] * 3
    await one.pushed(THEIRS, silent=True)
    await one.until(lambda t: t.work.head == THEIRS)


async def test_fetching_renaming_and_restoring_exclude_each_other(one: Published) -> None:
    held = one.hub.hold("fetch")
    await one.ask(FetchBranch())
    view = await one.ask(FetchBranch())
    assert view.fetching, "asked again, it goes on"
    latest = (await one.tree.checkpoints(view.id))[0].id
    for command in (RenameBranch(name="better"), RestoreCheckpoint(checkpoint=latest)):
        with pytest.raises(WrongState, match="commits are being fetched from GitHub"):
            await one.ask(command)
    held.set()
    await one.until(lambda t: not t.fetching)
    assert one.hub.done["fetch"] == 1
    back = one.hub.hold("restore")
    await one.ask(RestoreCheckpoint(checkpoint=latest))
    with pytest.raises(WrongState, match="restored"):
        await one.ask(FetchBranch())
    await one.pushed(THEIRS)
    await one.until(lambda t: t.upstream and t.upstream.state is UpstreamState.AHEAD)
    assert one.hub.done["fetch"] == 1
    back.set()
    await one.until(lambda t: t.work.upstream == THEIRS and not t.fetching)


async def test_a_work_tree_that_was_set_back_on_purpose_follows_only_when_asked(one: Published) -> None:
    """A checkpoint of before the last push was restored."""
    one.hub.work = one.hub.work.model_copy(update={"head": LATER, "behind": 1})
    await one.ask(RefreshWork())
    await one.is_(UpstreamState.FETCHED)
    await one.pushed(THEIRS)
    await one.until(lambda t: t.work.upstream == THEIRS and not t.fetching)
    assert one.hub.done["forward"] == 0
    await one.ask(FetchBranch())
    await one.until(lambda t: t.work.head == THEIRS and not t.fetching)


async def test_a_sandbox_that_is_lost_ends_a_fetch_and_the_new_one_gets_it(one: Published) -> None:
    let_go = one.hub.hold("forward")
    await one.pushed(THEIRS)
    await eventually(lambda: one.hub.done["forward"])
    before = await one.tree.task(one.id)
    assert before.sandbox
    one.hub.gone.append(before.sandbox)
    await one.until(lambda t: t.sandbox != before.sandbox)
    let_go.set()
    await one.until(lambda t: t.state is TaskState.READY and t.activity == "idle" and not t.fetching)
    await one.works()


async def test_archiving_ends_a_fetch(one: Published) -> None:
    held = one.hub.hold("fetch")
    await one.pushed(THEIRS)
    await eventually(lambda: one.hub.done["fetch"])
    view = await one.ask(ArchiveTask(person=ADA))
    assert not view.fetching
    held.set()
    with pytest.raises(WrongState, match="archived"):
        await one.ask(FetchBranch())
    assert one.hub.done["forward"] == 0
