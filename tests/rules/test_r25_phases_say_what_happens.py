"""R25: payloads carry the present phase, since when, the attempt, and the error with what to do about it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from foundry.actors.organization.views import issues, task_list
from foundry.contracts import addresses
from foundry.contracts.sandbox_provider import SandboxGone
from foundry.contracts.task import RetryProvisioning
from tests.waiting import eventually
from tests.world.world import ORGANIZATION, World

PHASES = {
    "naming": "branch_names",
    "creating sandbox": "create",
    "starting sandbox-agent": "start",
    "waiting for health": "wait_healthy",
    "cloning": "clone",
    "installing agent": "install_agent",
}


@pytest.mark.parametrize(("phase", "call"), PHASES.items())
async def test_a_failure_is_shown_in_its_phase_and_retry_goes_on(tree: World, phase: str, call: str) -> None:
    tree.outside.fail[call] = [SandboxGone("the ground gave way")]
    task = await tree.create()
    failed = await tree.until(task, lambda v: v.state == "failed")
    assert failed.phase == phase
    assert failed.failure
    assert failed.failure.message == "the ground gave way"
    assert failed.failure.remedy
    assert (datetime.now(UTC) - failed.phase_since).total_seconds() < 60
    listed = await eventually(
        lambda: tree.read(task_list, ORGANIZATION), lambda found: found and found[0].state == "failed"
    )
    assert listed[0].failure == failed.failure
    recorded = await eventually(lambda: tree.read(issues, ORGANIZATION))
    assert recorded[0].failure.step == phase

    done_before = dict(tree.outside.done)
    again = await tree.ask(addresses.task(task), RetryProvisioning())
    assert (again.state, again.attempt, again.failure) == ("provisioning", 2, None)
    running = await tree.until(task, lambda v: v.phase == "running")
    assert running.branch == failed.branch or failed.branch is None
    assert tree.outside.done[call] == done_before[call] + 1


async def test_an_attempt_that_will_be_repeated_says_when(tree: World) -> None:
    tree.outside.fail["clone"] = [OSError("connection reset")]
    task = await tree.create()
    view = await tree.until(task, lambda v: v.failure is not None)
    assert view.failure
    assert view.failure.retry_at
    assert view.phase == "cloning"
    await tree.until(task, lambda v: v.phase == "running" and v.failure is None)
