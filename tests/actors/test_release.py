"""The sandbox of an archived task: it may wait for a while, stopped, and is removed when its time is over."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from foundry.actors.sandbox_instance.views import sandbox_view
from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SandboxId, TaskId
from foundry.contracts.sandbox_instance import SandboxState, SandboxView
from foundry.contracts.task import ArchiveTask, ReleaseSandbox, TaskView, WorkTree
from foundry.contracts.task_checkpoints import CheckpointTooLarge
from tests.waiting import eventually
from tests.world.outside import Scripted
from tests.world.world import ADA, World, world

SOON = timedelta(seconds=0.8)
LATER = timedelta(hours=1)


def living(place: Path, archived: timedelta | None, out: Scripted | None = None) -> AbstractAsyncContextManager[World]:
    return world(f"sqlite:///{place}/foundry.db", out, archived=archived)


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[World]:
    async with living(tmp_path, SOON) as tree:
        yield tree


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[World]:
    async with living(tmp_path, LATER) as tree:
        yield tree


async def worked(tree: World) -> TaskView:
    """A task whose agent has ended its turn, and whose work is saved."""
    task = await tree.create("Do it")
    await eventually(lambda: tree.outside.prompts)
    tree.outside.end_turn()
    return await tree.until(task, lambda t: t.activity == "idle" and not t.saving and t.checkpoint > 0)


async def archived(tree: World, *, discard: bool = False) -> TaskView:
    """A task that was just archived."""
    view = await worked(tree)
    return await tree.ask(addresses.task(view.id), ArchiveTask(person=ADA, discard=discard))


async def box(tree: World, view: TaskView) -> SandboxView:
    return await tree.read(sandbox_view, SandboxId(view.sandbox or ""))


async def becomes(tree: World, view: TaskView, state: SandboxState) -> SandboxView:
    return await eventually(lambda: box(tree, view), lambda found: found.state is state)


async def waits(tree: World, view: TaskView) -> SandboxView:
    """The sandbox, once all is done that is done before its time."""
    await tree.quiet()
    return await becomes(tree, view, SandboxState.STOPPED)


async def over(view: TaskView) -> None:
    """Until the time has come at which its sandbox is removed."""
    assert view.remove_at
    await eventually(lambda: datetime.now(UTC) > view.remove_at)


async def release(tree: World, task: TaskId) -> TaskView:
    return await tree.ask(addresses.task(task), ReleaseSandbox())


async def test_without_the_setting_it_goes_at_once(tmp_path: Path) -> None:
    async with living(tmp_path, None) as tree:
        view = await archived(tree)
        assert view.remove_at is None
        await becomes(tree, view, SandboxState.DELETED)


async def test_it_is_saved_and_stopped_says_when_it_is_removed_and_is_removed_then(tree: World) -> None:
    saves = tree.outside.done["save"]
    view = await archived(tree)
    assert view.remove_at
    assert timedelta(0) < view.remove_at - view.changed_at <= SOON
    stopped = await becomes(tree, view, SandboxState.STOPPED)
    assert stopped.remove_at == view.remove_at
    assert (tree.outside.done["delete"], tree.outside.done["stop"]) == (0, 1)
    assert tree.outside.done["save"] == saves + 2  # after the turn, and before the release
    gone = await becomes(tree, view, SandboxState.DELETED)
    assert (gone.remove_at, tree.outside.done["delete"]) == (None, 1)
    assert gone.state_since >= view.remove_at
    assert (await tree.until(view.id, lambda t: not t.remove_at)).retained == ""
    assert tree.outside.done["save"] == saves + 2, "there is nothing more to save"


async def test_a_restart_does_not_forget_it(tmp_path: Path) -> None:
    async with living(tmp_path, SOON) as tree:
        view = await archived(tree)
        await becomes(tree, view, SandboxState.STOPPED)
    await over(view)
    async with living(tmp_path, SOON) as tree:
        await becomes(tree, view, SandboxState.DELETED)
        assert tree.outside.done["delete"] == 1


async def test_a_time_that_is_over_while_the_work_is_saved_removes_it_afterwards(tree: World) -> None:
    view = await worked(tree)
    hold = tree.outside.hold("save")
    await over(await tree.ask(addresses.task(view.id), ArchiveTask(person=ADA)))
    await tree.quiet()
    assert tree.outside.done["delete"] == 0
    hold.set()
    await becomes(tree, view, SandboxState.DELETED)
    assert (await tree.until(view.id, lambda t: not t.remove_at)).checkpoint


async def test_a_person_need_not_wait(patient: World) -> None:
    view = await archived(patient)
    await waits(patient, view)
    saves = patient.outside.done["save"]
    assert (await release(patient, view.id)).remove_at is None
    await becomes(patient, view, SandboxState.DELETED)
    assert patient.outside.done["save"] == saves
    with pytest.raises(WrongState, match="no retained sandbox"):
        await release(patient, view.id)


async def test_a_person_who_does_not_wait_for_the_saving_either_has_it_saved_all_the_same(patient: World) -> None:
    view = await worked(patient)
    hold = patient.outside.hold("save")
    await patient.ask(addresses.task(view.id), ArchiveTask(person=ADA))
    await eventually(lambda: patient.outside.done["save"] == 2)
    await release(patient, view.id)
    hold.set()
    await becomes(patient, view, SandboxState.DELETED)
    assert patient.outside.done["save"] == 3, "by the second release, once more"


async def test_what_is_discarded_goes_at_once(patient: World) -> None:
    view = await archived(patient, discard=True)
    assert view.remove_at is None
    await becomes(patient, view, SandboxState.DELETED)


async def test_one_that_was_kept_is_never_removed_by_time(tree: World) -> None:
    view = await worked(tree)
    tree.outside.work = WorkTree(unpushed=1)
    tree.outside.fail["save"] = [CheckpointTooLarge("the work takes 70 MiB")]
    await tree.ask(addresses.task(view.id), ArchiveTask(person=ADA))
    kept = await tree.until(view.id, lambda t: "70 MiB" in t.retained)
    assert kept.remove_at is None
    assert (await becomes(tree, view, SandboxState.RETAINED)).remove_at is None
    await tree.quiet()
    assert "remove" not in await tree.coming(addresses.task(view.id)), "no time is set for it"
    assert (await box(tree, view)).state is SandboxState.RETAINED
    assert tree.outside.done["delete"] == 0
    await release(tree, view.id)
    await becomes(tree, view, SandboxState.DELETED)


async def test_one_that_is_not_there_does_not_wait(patient: World) -> None:
    view = await worked(patient)
    patient.outside.alive = False
    await patient.ask(addresses.task(view.id), ArchiveTask(person=ADA))
    await becomes(patient, view, SandboxState.DELETED)
    await patient.until(view.id, lambda t: not t.remove_at)


async def test_one_that_is_lost_while_it_waits_is_said_to_be(patient: World) -> None:
    view = await archived(patient)
    await becomes(patient, view, SandboxState.STOPPED)
    patient.outside.gone = [SandboxId(view.sandbox or "")]
    lost = await becomes(patient, view, SandboxState.LOST)
    assert lost.remove_at is None
    await patient.until(view.id, lambda t: not t.remove_at)


async def test_one_that_cannot_be_removed_is_kept_with_the_reason(tree: World) -> None:
    view = await archived(tree)
    await becomes(tree, view, SandboxState.STOPPED)
    tree.outside.fail["delete"] = [WrongState("it will not go")]
    kept = await tree.until(view.id, lambda t: "it will not go" in t.retained)
    assert kept.remove_at is None
    await release(tree, view.id)
    await becomes(tree, view, SandboxState.DELETED)
