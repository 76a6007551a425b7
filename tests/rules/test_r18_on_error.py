"""R18: every workflow has an on-error hook, installed by the runtime, not by memory."""

from __future__ import annotations

import pytest

from foundry.actors.organization.views import issues
from foundry.app import house
from foundry.contracts.issues import AttemptFailed, IssueKind, WorkflowEnded, WorkflowRecovered
from foundry.contracts.sandbox_provider import SandboxGone
from foundry.runtime.actor import Actor, RegistrationError, Registry
from foundry.runtime.workflow.flow import Workflows
from tests.waiting import eventually
from tests.world.world import ORGANIZATION, World

WORKFLOWS = house().workflows


@pytest.mark.parametrize("name", sorted(WORKFLOWS.by_name))
def test_the_owner_of_every_workflow_hears_of_its_failures(name: str) -> None:
    registry = Registry(house().actors)
    assert {AttemptFailed, WorkflowRecovered, WorkflowEnded} <= registry.kinds[
        WORKFLOWS.by_name[name].owner
    ].handlers.keys()


@pytest.mark.parametrize("name", sorted(WORKFLOWS.by_name))
def test_a_deaf_owner_is_refused_at_start_up(name: str) -> None:
    owner = type(WORKFLOWS.by_name[name].owner, (Actor,), {})()
    with pytest.raises(RegistrationError, match="AttemptFailed"):
        Workflows({name: WORKFLOWS.by_name[name]}).check(Registry([owner]))


async def test_a_failed_attempt_and_a_final_failure_are_recorded(tree: World) -> None:
    """The workflow's own code has no word about errors; both are in the organization's runtime issues all the same."""
    tree.outside.fail["clone"] = [OSError("reset"), SandboxGone("gone")]
    task = await tree.create()
    first = await eventually(lambda: tree.read(issues, ORGANIZATION))
    assert first[0].failure.kind is IssueKind.STEP_RETRYING
    assert (first[0].failure.workflow, first[0].failure.step, first[0].failure.attempt) == ("provision", "cloning", 1)
    assert first[0].failure.retry_at
    await tree.until(task, lambda v: v.state == "failed")
    last = await eventually(
        lambda: tree.read(issues, ORGANIZATION), lambda i: i[0].failure.kind is IssueKind.WORKFLOW_FAILED
    )
    assert (last[0].failure.attempt, last[0].failure.message, last[0].failure.retry_at) == (2, "gone", None)
    assert last[0].failure.actor == f"Task:{task}"
    assert last[0].failure.scope == ORGANIZATION
