"""What sandboxes take on disk, whether there is room, and the sandboxes that nobody uses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from foundry.actors.app_shell.views import issues, orphans
from foundry.actors.sandbox_instance.disk_usage import LITTLE, notable
from foundry.actors.sandbox_instance.views import existing, sandbox_view
from foundry.contracts import addresses
from foundry.contracts.errors import NotFound, WrongState
from foundry.contracts.ids import SandboxId, new_id
from foundry.contracts.issues import IssueKind
from foundry.contracts.organization import ClearIssues, IssueView
from foundry.contracts.sandbox_instance import DiskSeen, OrphanView, RemoveOrphan, SandboxState, SandboxView
from foundry.contracts.sandbox_provider import Room
from foundry.contracts.task import ArchiveTask, TaskView
from tests.waiting import eventually
from tests.world.world import ADA, World, world

LIMIT = 500_000_000  # bytes


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[World]:
    async with world(f"sqlite:///{tmp_path}/foundry.db", min_free=LIMIT) as tree:
        yield tree


async def worked(tree: World) -> TaskView:
    task = await tree.create("Do it")
    await eventually(lambda: tree.outside.prompts)
    tree.outside.end_turn()
    return await tree.until(task, lambda t: t.activity == "idle" and not t.saving)


async def box(tree: World, view: TaskView) -> SandboxView:
    return await tree.read(sandbox_view, SandboxId(view.sandbox or ""))


async def version(tree: World, view: TaskView) -> int:
    return await tree.read(lambda r: r.version(addresses.sandbox(SandboxId(view.sandbox or ""))))


async def issues_of(tree: World, kind: IssueKind) -> list[IssueView]:
    return [one for one in await tree.read(issues) if one.failure.kind is kind]


async def strange(tree: World) -> list[OrphanView]:
    return await tree.read(orphans)


async def looked(tree: World) -> None:
    """Until every sandbox was measured once more."""
    before = tree.outside.done["usage"]
    await eventually(lambda: tree.outside.done["usage"] > before)
    await compared(tree, 1)


async def compared(tree: World, times: int = 4) -> None:
    """Until so many rounds have begun, so that one fewer have ended."""
    before = tree.outside.done["compare"]
    await eventually(lambda: tree.outside.done["compare"] >= before + times)


# what they take


async def test_what_a_sandbox_takes_is_shown_and_only_a_notable_change_is_told(tree: World) -> None:
    view = await worked(tree)
    id = SandboxId(view.sandbox or "")
    tree.outside.sizes[id] = 120_000_000
    found = await eventually(lambda: box(tree, view), lambda seen: seen.disk)
    assert found.disk == 120_000_000
    before = await version(tree, view)
    tree.outside.sizes[id] = 123_000_000
    await looked(tree)
    assert await version(tree, view) == before
    tree.outside.sizes[id] = 140_000_000
    await eventually(lambda: box(tree, view), lambda seen: seen.disk == 140_000_000)
    assert await version(tree, view) == before + 1


async def test_one_is_measured_only_now_and_then(tree: World) -> None:
    view = await worked(tree)
    tree.outside.sizes[SandboxId(view.sandbox or "")] = 5_000_000
    await eventually(lambda: box(tree, view), lambda seen: seen.disk)
    await looked(tree)
    before = tree.outside.done["usage"]
    await compared(tree, 3)  # it is measured in every tenth round
    assert tree.outside.done["usage"] == before


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        (None, 0, True),
        (10 * LITTLE, 10 * LITTLE + LITTLE - 1, False),
        (10 * LITTLE, 11 * LITTLE, True),
        (100 * LITTLE, 104 * LITTLE, False),
        (100 * LITTLE, 95 * LITTLE, True),
    ],
)
def test_a_change_is_notable_from_a_megabyte_and_a_twentieth_on(before: int | None, now: int, told: bool) -> None:
    assert notable(before, now) is told


async def test_one_that_is_gone_takes_nothing(tree: World) -> None:
    view = await worked(tree)
    id = SandboxId(view.sandbox or "")
    await tree.ask(addresses.sandbox(id), DiskSeen(disk=7))
    assert [one.id for one in await tree.read(existing)] == [id]
    await tree.ask(addresses.task(view.id), ArchiveTask(person=ADA))
    gone = await eventually(lambda: box(tree, view), lambda seen: seen.state is SandboxState.DELETED)
    assert gone.disk is None
    await tree.ask(addresses.sandbox(id), DiskSeen(disk=7))  # measured a moment too late
    assert (await box(tree, view)).disk is None
    assert await tree.read(existing) == []


# whether there is room


async def test_little_room_is_an_issue_that_names_the_biggest_and_ends_by_itself(tree: World) -> None:
    big, small = await worked(tree), await worked(tree)
    tree.outside.sizes = {SandboxId(big.sandbox or ""): 1_200_000_000, SandboxId(small.sandbox or ""): 30_000_000}
    tree.outside.left = Room(free=LIMIT, total=10 * LIMIT)
    await eventually(lambda: box(tree, small), lambda seen: seen.disk)
    await eventually(lambda: box(tree, big), lambda seen: seen.disk)
    assert await issues_of(tree, IssueKind.DISK_LOW) == []
    tree.outside.left = Room(free=LIMIT - 1_000_000, total=10 * LIMIT)
    (found,) = await eventually(lambda: issues_of(tree, IssueKind.DISK_LOW))
    said = found.failure.message
    assert "499 MB left, less than 500 MB" in said
    assert f"{big.sandbox} (1.2 GB, task {big.id})" in said
    assert said.index(str(big.sandbox)) < said.index(str(small.sandbox))
    await compared(tree)
    (again,) = await issues_of(tree, IssueKind.DISK_LOW)
    assert again.times == 1, "the same is said once"
    await tree.ask(addresses.app_shell(), ClearIssues(issue=again.id))
    await eventually(lambda: issues_of(tree, IssueKind.DISK_LOW))  # what still is comes back
    tree.outside.left = Room(free=LIMIT, total=10 * LIMIT)
    await eventually(lambda: issues_of(tree, IssueKind.DISK_LOW), lambda found: found == [])


async def test_an_issue_of_before_a_restart_ends_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/foundry.db"
    async with world(url, min_free=LIMIT) as tree:
        tree.outside.left = Room(free=1, total=LIMIT)
        await eventually(lambda: issues_of(tree, IssueKind.DISK_LOW))
    async with world(url, min_free=LIMIT) as tree:
        await eventually(lambda: issues_of(tree, IssueKind.DISK_LOW), lambda found: found == [])


async def test_where_nobody_can_tell_nothing_is_said(tree: World) -> None:
    await worked(tree)
    tree.outside.left = None
    await looked(tree)
    assert await tree.read(issues) == []


# those that nobody uses


async def test_an_orphan_is_listed_is_an_issue_and_is_left_until_somebody_has_it_removed(tree: World) -> None:
    one, other = SandboxId(new_id("sbx")), SandboxId(new_id("sbx"))
    tree.outside.sizes = {one: 40_000_000}
    tree.outside.orphan = [one, other]
    found = await eventually(lambda: strange(tree), lambda seen: len(seen) == 2)
    assert [(orphan.id, orphan.disk) for orphan in found] == [(one, 40_000_000), (other, None)]
    (issue,) = await issues_of(tree, IssueKind.SANDBOX_UNKNOWN)
    assert one in issue.failure.message
    assert other in issue.failure.message
    assert "foundry sandbox remove" in issue.failure.remedy
    await compared(tree)
    assert tree.outside.done["delete"] == 0
    assert (await issues_of(tree, IssueKind.SANDBOX_UNKNOWN))[0].times == 1, "the same is said once"

    assert (await tree.ask(addresses.app_shell(), RemoveOrphan(sandbox=one))).removing
    (left,) = await eventually(lambda: strange(tree), lambda seen: len(seen) == 1)
    assert (left.id, left.since) == (other, next(orphan.since for orphan in found if orphan.id == other))
    assert tree.outside.done["delete"] == 1
    (issue,) = await eventually(lambda: issues_of(tree, IssueKind.SANDBOX_UNKNOWN))
    assert one not in issue.failure.message
    tree.outside.orphan = []  # somebody has removed it by hand
    await eventually(lambda: issues_of(tree, IssueKind.SANDBOX_UNKNOWN), lambda seen: seen == [])
    assert await strange(tree) == []


async def test_only_one_that_was_seen_can_be_removed(tree: World) -> None:
    with pytest.raises(NotFound):
        await tree.ask(addresses.app_shell(), RemoveOrphan(sandbox=SandboxId("sbx_x")))


async def test_one_that_cannot_be_removed_says_why_and_is_tried_again(tree: World) -> None:
    orphan = SandboxId(new_id("sbx"))
    tree.outside.orphan = [orphan]
    await eventually(lambda: strange(tree))
    tree.outside.fail["delete"] = [WrongState("some of its processes do not end")]
    await tree.ask(addresses.app_shell(), RemoveOrphan(sandbox=orphan))
    seen: list[str] = []

    async def gone() -> bool:
        found = await strange(tree)
        seen.extend(one.failure for one in found)
        return found == []

    await eventually(gone)
    assert "some of its processes do not end" in seen
    assert tree.outside.done["delete"] == 2


async def test_one_that_was_taken_for_lost_and_is_there_is_an_orphan(tree: World) -> None:
    """Its task has another one by now; what is in this one is for a person to look at."""
    view = await worked(tree)
    old = SandboxId(view.sandbox or "")
    tree.outside.gone = [old]
    await tree.until(view.id, lambda t: t.sandbox != old)
    await eventually(lambda: box(tree, view), lambda seen: seen.state is SandboxState.LOST)
    tree.outside.orphan, tree.outside.gone = [old], []
    (found,) = await eventually(lambda: strange(tree))
    assert found.id == old
    assert tree.outside.done["delete"] == 0
    await tree.ask(addresses.app_shell(), RemoveOrphan(sandbox=old))
    await eventually(lambda: strange(tree), lambda seen: seen == [])


async def test_one_that_was_seen_before_a_restart_and_is_gone_is_forgotten(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/foundry.db"
    async with world(url) as tree:
        tree.outside.orphan = [SandboxId(new_id("sbx"))]
        await eventually(lambda: strange(tree))
    async with world(url) as tree:
        await eventually(lambda: strange(tree), lambda seen: seen == [])
        assert await issues_of(tree, IssueKind.SANDBOX_UNKNOWN) == []
