"""A sandbox that somebody removed: its task gets another one, with all that was saved of its work."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foundry.devkit.github import GitHubAt
from tests.harness.life import REPOSITORY, remove_sandbox
from tests.harness.stage import stage
from tests.system.whole import Whole, saved, whole

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture
def home(tmp_path: Path, sandbox_agent_cache: Path) -> Iterator[Path]:
    with stage(tmp_path, sandbox_agent_cache) as ready:
        yield ready


def git(place: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=place, check=True, capture_output=True, text=True).stdout


def anew(before: dict[str, Any]) -> Any:
    """Holds of the task once it has another sandbox that is ready."""
    return lambda t: t["sandbox"] != before["sandbox"] and t["state"] == "ready" and t["phase"] == "running"


async def lost(foundry: Whole, task: str) -> dict[str, Any]:
    """Remove the sandbox, and do what finds out; the task as it is afterwards."""
    before = await foundry.until(task, saved)
    remove_sandbox(foundry.server.settings.data_dir, before["sandbox"])
    await foundry.ask("POST", f"/api/tasks/{task}/checkpoints", 202)
    return await foundry.until(task, anew(before))


async def test_its_commits_and_what_was_not_committed_come_back_and_the_agent_goes_on(home: Path) -> None:
    async with whole(home) as foundry:
        task = await foundry.create("append README.md Committed.", "commit One", "append notes.txt First.")
        before = await foundry.until(task, saved)
        head = git(foundry.box(before), "rev-parse", "HEAD")
        after = await lost(foundry, task)
        box = foundry.box(after)
        assert git(box, "rev-parse", "HEAD") == head
        assert git(box, "symbolic-ref", "--short", "HEAD").strip() == before["branch"]
        assert git(box, "status", "--porcelain") == "?? notes.txt\n"
        assert (await foundry.ask("GET", f"/api/sandboxes/{before['sandbox']}"))["state"] == "lost"
        assert "lost" in after["note"]
        seen = await foundry.turn(task, "append notes.txt Second.")
        assert (box / "notes.txt").read_text() == "First.\nSecond.\n"
        assert seen["work"]["commits_ahead"] == 1
        session = await foundry.ask("GET", f"/api/sessions/{after['active_session']}")
        assert any("sandbox was lost" in entry["text"] for entry in session["transcript"])


@pytest.mark.long
async def test_commits_that_github_has_beyond_the_checkpoint_are_kept(home: Path) -> None:
    async with whole(home) as foundry:
        task = await foundry.create("append README.md Committed.", "commit One", "append notes.txt First.")
        before = await foundry.until(task, saved)
        await foundry.ask("POST", f"/api/tasks/{task}/pull-request", 202)
        await foundry.until(task, lambda t: t["pull_request"] and not t["publishing"])
        hub, other = GitHubAt(home / "github"), home / "other"
        remote = f"{hub.url}/{REPOSITORY}.git".replace("://", f"://x-access-token:{hub.token()}@")
        git(home, "clone", "--quiet", "--branch", before["branch"], remote, str(other))
        git(other, "-c", "user.name=Bo", "-c", "user.email=bo@x", "commit", "--quiet", "--allow-empty", "-m", "Two")
        git(other, "push", "--quiet", "origin", before["branch"])
        after = await lost(foundry, task)
        assert git(foundry.box(after), "log", "-1", "--format=%s").strip() == "Two"
        assert "newer commits" in after["note"]
        assert after["checkpoint"] == before["checkpoint"]


@pytest.mark.long
async def test_a_start_finds_out_by_itself(home: Path) -> None:
    async with whole(home) as foundry:
        task = await foundry.create("append notes.txt First.")
        before = await foundry.until(task, saved)
        data = foundry.server.settings.data_dir
    remove_sandbox(data, before["sandbox"])
    async with whole(home) as foundry:
        after = await foundry.until(task, anew(before))
        assert (foundry.box(after) / "notes.txt").read_text() == "First.\n"
