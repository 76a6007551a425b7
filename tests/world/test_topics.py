"""The check itself: on each of the seven topics it finds a change that no event reports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from foundry.contracts import addresses
from foundry.contracts.github_state import (
    DescribePullRequest,
    InstallationGranted,
    InstallationSummary,
    PullRequestState,
    PullRequestView,
)
from foundry.contracts.issues import Failure, IssueKind, RecordFailure
from foundry.contracts.messages import APP, ScopeId
from tests.api.edge import GitHub
from tests.world.topics import TOPICS
from tests.world.world import ORGANIZATION, REPOSITORY, World, world

CHANGED = {  # table, column and another value for it
    "AppShell": ("app_issues", "times", "2"),
    "Organization": ("organization_tasks", "summary", "replace(summary, 'Do it', 'Do that')"),
    "GitHubState": ("github_pull_requests", "state", "'closed'"),
    "Repository": ("repository_tasks", "summary", "replace(summary, 'Do it', 'Do that')"),
    "Task": ("tasks", "title", "'Another title'"),
    "TaskSession": ("sessions", "agent", "'another'"),
    "SandboxInstance": ("sandboxes", "warning", "'The disk is full'"),
}


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[World]:
    """A World with something on every topic."""
    async with world(f"sqlite:///{tmp_path}/foundry.db", GitHub()) as running:
        organization, scope = addresses.organization(ORGANIZATION), ScopeId(ORGANIZATION)
        here = InstallationSummary(id=1, organization=ORGANIZATION, login="lumen-works", active=True)
        github = addresses.github(ORGANIZATION)
        await running.say(InstallationGranted(parent=organization, scope=scope, installation=here), to=github)
        one = PullRequestView(
            repository=REPOSITORY.id, number=7, state=PullRequestState.OPEN, head="fix", base="main", title="Fix it"
        )
        await running.ask(github, DescribePullRequest(pull_request=one))
        broken = Failure(
            kind=IssueKind.STEP_RETRYING, actor="Task:tsk_1", scope=APP, fingerprint="one", message="it broke"
        )
        await running.ask(addresses.app_shell(), RecordFailure(failure=broken))
        task = await running.create()
        await running.until(task, lambda view: view.phase == "running")
        await running.quiet()
        yield running


def test_every_topic_is_changed_here() -> None:
    assert CHANGED.keys() == TOPICS.keys()


@pytest.mark.parametrize("kind", sorted(CHANGED))
async def test_a_change_without_an_event_is_found(tree: World, kind: str) -> None:
    table, column, value = CHANGED[kind]
    await tree.topics.check()
    before = await tree.read(lambda r: r._connection.exec_driver_sql(f"SELECT {column} FROM {table}").scalar_one())
    shell = addresses.app_shell()
    await tree.runtime.system(shell, lambda tx: tx.execute(f"UPDATE {table} SET {column}={value}"))
    with pytest.raises(AssertionError, match=f"of {kind}:"):
        await tree.topics.check()
    await tree.runtime.system(shell, lambda tx: tx.execute(f"UPDATE {table} SET {column}=?", before))
