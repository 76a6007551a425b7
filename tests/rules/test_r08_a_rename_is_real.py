"""R8: renaming a branch is a git operation, local and remote; the pull request gets a replacement, the task follows.

The world's GitHub is told here what to hold; tests/system/test_rename.py does it to real git and the stand-in GitHub.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from foundry.contracts import addresses
from foundry.contracts.branch_names import BranchTaken
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import MessageId, SandboxId, TaskId, new_id
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import ArchiveTask, PublishTask, PullRequestRef, RetryProvisioning, TaskView, WorkTree
from foundry.contracts.task_rename import BranchOnGitHub, CancelRename, OldPullRequest, RenameBranch
from foundry.contracts.task_session import SendMessage
from tests.waiting import eventually
from tests.world.outside import Scripted
from tests.world.world import ADA, World, world


class Hub(Scripted):
    """A GitHub that closes the pull request of a branch that is renamed, and a sandbox that has one branch."""

    def __init__(self) -> None:
        super().__init__()
        self.local = ""
        self.pulls: dict[int, str] = {}  # number to head
        self.state: dict[int, str] = {}
        self.said: list[tuple[int, str]] = []

    async def branch(self, repository: RepositoryRef, head: str, replaces: int | None) -> BranchOnGitHub:
        await self._do("branch")
        number = replaces or next((n for n, h in self.pulls.items() if h == head and self.state[n] == "open"), None)
        pull = None if number is None else OldPullRequest(
            number=number, state=self.state[number], title="Do it", body="Why.", base="main", labels=["bug"],
        )  # fmt: skip
        return BranchOnGitHub(names=list(self.branches), pull_request=pull)

    async def rename_branch(self, where: RepositoryRef | SandboxId, old: str, new: str) -> None:
        if isinstance(where, str):
            await self._do("rename local")
            self.local = new
            return
        await self._do("rename remote")
        self.branches = [new if name == old else name for name in self.branches]
        self.state |= {number: "closed" for number, head in self.pulls.items() if head == old}

    async def renamed(
        self, repository: RepositoryRef, old: str, new: str, replaces: int | None
    ) -> PullRequestRef | None:
        return PullRequestRef(number=replaces, state=self.state[replaces], url="http://x") if replaces else None

    async def replace_pull_request(
        self, repository: RepositoryRef, old: OldPullRequest, *, head: str, body: str
    ) -> PullRequestRef:
        await self._do("replace")
        number = max(self.pulls) + 1
        self.pulls[number], self.state[number] = head, "open"
        self.said.append((number, body))
        return PullRequestRef(number=number, state="open", url=f"http://x/pull/{number}")

    async def copy_labels(self, repository: RepositoryRef, number: int, labels: list[str]) -> str:
        await self._do("labels")
        return ""

    async def comment_once(self, repository: RepositoryRef, number: int, body: str) -> str:
        self.said.append((number, body))
        return ""


class Renamed:
    """One ready task with its branch on GitHub, and what a person asks of it."""

    def __init__(self, tree: World, hub: Hub, task: TaskId) -> None:
        self.tree, self.hub, self.task = tree, hub, task

    async def ask(self, command: Any) -> Any:
        return await self.tree.ask(addresses.task(self.task), command)

    async def rename(self, name: str = "better") -> TaskView:
        return await self.ask(RenameBranch(name=name))

    async def ended(self) -> TaskView:
        return await self.tree.until(self.task, lambda t: not t.rename)

    async def failed(self) -> TaskView:
        return await self.tree.until(self.task, lambda t: t.rename and not t.renaming)

    async def view(self) -> TaskView:
        return await self.tree.task(self.task)


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[Renamed]:
    hub = Hub()
    async with world(f"sqlite:///{tmp_path}/foundry.db", hub) as tree:
        task = await tree.create("Do it")
        await eventually(lambda: hub.prompts, limit=15)
        hub.end_turn()
        view = await tree.until(task, lambda t: t.activity == "idle" and not t.saving and t.checkpoint)
        hub.branches.append(view.branch)
        hub.local = view.branch
        yield Renamed(tree, hub, task)


async def test_sandbox_github_and_task_follow_and_the_old_name_is_free(one: Renamed) -> None:
    old = (await one.view()).branch
    await one.rename()
    after = await one.ended()
    assert (after.branch, one.hub.local, one.hub.branches) == ("better", "better", ["main", "better"])
    assert old in after.note
    assert "better" in after.note
    other = await one.tree.create("Another", branch=old)
    assert (await one.tree.until(other, lambda t: t.branch)).branch == old


async def test_the_pull_request_that_github_closes_gets_a_replacement_and_each_names_the_other(one: Renamed) -> None:
    old = (await one.view()).branch
    one.hub.pulls[7], one.hub.state[7] = old, "open"
    one.hub.work = WorkTree(head="c1", commits_ahead=1, unpushed=1)
    await one.ask(PublishTask(person=ADA))
    await one.tree.until(one.task, lambda t: t.pull_request and not t.publishing)
    await one.rename()
    after = await one.ended()
    assert after.pull_request is not None
    assert (after.pull_request.number, after.pull_request.state) == (8, "open")
    assert one.hub.state == {7: "closed", 8: "open"}
    (_, body), (commented, comment) = one.hub.said
    assert "Why." in body
    assert "#7" in body
    assert (commented, "#8" in comment) == (7, True)
    assert one.hub.done["labels"] == 1
    assert "#8 replaces #7" in after.note


async def test_a_pull_request_somebody_closed_is_not_opened_again(one: Renamed) -> None:
    one.hub.pulls[7], one.hub.state[7] = (await one.view()).branch, "closed"
    await one.rename()
    assert (await one.ended()).branch == "better"
    assert one.hub.done["replace"] == 0


async def test_a_name_that_is_taken_is_refused_and_nothing_is_touched(one: Renamed) -> None:
    before = await one.view()
    with pytest.raises(BranchTaken, match="base branch"):
        await one.rename("main")
    other = await one.tree.create("Theirs", branch="theirs")
    await one.tree.until(other, lambda t: t.branch)
    await one.rename("theirs/below")
    assert "not renamed" in (await one.ended()).note
    assert (await one.view()).branch == before.branch == one.hub.local
    assert one.hub.done["rename remote"] == 0


async def test_a_name_that_exists_on_github_alone_ends_the_rename_with_its_reason(one: Renamed) -> None:
    one.hub.branches.append("better")
    await one.rename()
    after = await one.ended()
    assert "exists on GitHub" in after.note
    assert one.hub.done["rename local"] == 0


async def test_while_it_runs_nothing_else_moves_the_branch_and_messages_wait(one: Renamed) -> None:
    let_go = one.hub.hold("rename remote")
    await one.rename()
    await eventually(lambda: one.hub.done["rename remote"])
    for command in (PublishTask(person=ADA), RenameBranch(name="third"), CancelRename(), ArchiveTask(person=ADA)):
        with pytest.raises(WrongState):
            await one.ask(command)
    session = (await one.view()).active_session
    assert session
    message = SendMessage(id=MessageId(new_id("msg")), text="Go on", person=ADA)
    await one.tree.ask(addresses.session(session), message)
    assert (await one.tree.session(session)).status != "running"
    let_go.set()
    assert (await one.ended()).branch == "better"
    await one.tree.until(one.task, lambda t: t.activity == "running")


async def test_it_is_refused_while_the_agent_works(one: Renamed) -> None:
    session = (await one.view()).active_session
    assert session
    await one.tree.send(session, "Work")
    await one.tree.until(one.task, lambda t: t.activity == "running")
    with pytest.raises(WrongState, match="working"):
        await one.rename()
    assert (await one.view()).rename is None


async def test_one_that_failed_half_way_goes_on_when_it_is_retried(one: Renamed) -> None:
    one.hub.fail["rename remote"] = [WrongState("GitHub refuses", remedy="Ask an admin.")]
    await one.rename()
    failed = await one.failed()
    assert failed.rename is not None
    assert failed.rename.failure is not None
    assert failed.rename.failure.remedy
    assert one.hub.local == "better"
    await one.ask(RetryProvisioning())
    assert (await one.ended()).branch == "better"
    assert one.hub.branches == ["main", "better"]


async def test_one_that_failed_half_way_is_given_up_and_the_old_name_comes_back(one: Renamed) -> None:
    old = (await one.view()).branch
    one.hub.fail["rename remote"] = [WrongState("GitHub refuses", remedy="Ask an admin.")]
    await one.rename()
    await one.failed()
    await one.ask(CancelRename())
    after = await one.ended()
    assert (after.branch, one.hub.local, one.hub.branches) == (old, old, ["main", old])
    assert "given up" in after.note
    other = await one.tree.create("Another", branch="better")
    assert (await one.tree.until(other, lambda t: t.branch)).branch == "better"


async def test_given_up_when_github_has_the_new_name_already_it_goes_forward(one: Renamed) -> None:
    old = (await one.view()).branch
    one.hub.fail["rename remote"] = [WrongState("the answer was lost", remedy="Retry.")]
    await one.rename()
    await one.failed()
    one.hub.branches = ["main", "better"]
    await one.ask(CancelRename())
    after = await one.ended()
    assert (after.branch, one.hub.local) == ("better", "better")
    assert old not in one.hub.branches
