"""R8 on real git: the branch gets another name in the sandbox and on the stand-in GitHub, its pull request a successor.

Killed and failing at each of its steps: tests/system/test_every_step.py and test_failing_for_good.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from foundry.devkit.github import GitHubAt
from tests.harness.life import REPOSITORY, Life
from tests.harness.stage import stage
from tests.system.whole import Whole, saved, whole

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture
def home(tmp_path: Path, sandbox_agent_cache: Path) -> Iterator[Path]:
    with stage(tmp_path, sandbox_agent_cache) as ready:
        yield ready


@pytest.fixture
async def foundry(home: Path) -> AsyncIterator[Whole]:
    async with whole(home) as running:
        yield running


@pytest.fixture
def hub(home: Path) -> GitHubAt:
    return GitHubAt(home / "github")


def on_github(hub: GitHubAt, path: str) -> Any:
    url = f"{hub.api}/repos/{REPOSITORY}/{path}"
    return httpx.get(url, headers={"Authorization": f"Bearer {hub.token()}"}, trust_env=False).raise_for_status().json()


def branches(hub: GitHubAt) -> set[str]:
    return {branch["name"] for branch in on_github(hub, "branches")}


def git(place: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=place, check=True, capture_output=True, text=True)
    return done.stdout.strip()


async def test_a_published_branch_is_renamed_everywhere_and_its_work_goes_on(foundry: Whole, hub: GitHubAt) -> None:
    life = Life(foundry, foundry.server.settings.data_dir, hub)
    task = await foundry.create("append README.md One.", "commit One", "append notes.txt Not committed.")
    before = await foundry.until(task, saved)
    old, box = before["branch"], foundry.box(before)
    await life.is_published(task)
    await life.is_renamed(task, "team/better")
    after = await foundry.until(task, lambda t: t["branch"] == "team/better")

    assert git(box, "symbolic-ref", "--short", "HEAD") == "team/better"
    assert git(box, "status", "--porcelain") == "?? notes.txt", "what was not committed is still there, and still not"
    assert old not in git(box, "branch", "--format=%(refname:short)").split()
    assert old not in branches(hub)
    assert "team/better" in branches(hub)
    first, second = on_github(hub, "pulls/1"), on_github(hub, "pulls/2")
    assert (first["state"], second["state"], second["head"]["ref"]) == ("closed", "open", "team/better")
    assert second["title"] == first["title"]
    assert "#1" in second["body"]
    assert [label["name"] for label in second["labels"]] == ["bug"]
    assert [person["login"] for person in second["requested_reviewers"]] == ["grace"]
    assert ["#2" in comment["body"] for comment in on_github(hub, "issues/1/comments")] == [True]
    assert "#2 replaces #1" in after["note"]

    later = await foundry.turn(task, "append README.md Two.", "commit Two")
    assert later["branch"] == "team/better"
    await foundry.ask("POST", f"/api/tasks/{task}/pull-request", 202)
    pushed = await foundry.until(task, lambda t: not t["publishing"] and t["work"]["unpushed"] == 0)
    assert pushed["pull_request"]["number"] == 2
    assert on_github(hub, "pulls/2")["head"]["sha"] == git(box, "rev-parse", "HEAD")

    earliest = (await foundry.checkpoints(pushed["id"]))[-1]
    await foundry.ask("POST", f"/api/tasks/{task}/checkpoints/{earliest['id']}/restore", 202)
    await foundry.until(task, lambda t: not t["restoring"] and "checkpoint 1" in t["note"])
    assert git(box, "symbolic-ref", "--short", "HEAD") == "team/better", "what was saved under the old name"
    assert git(box, "log", "-1", "--format=%s") == "One"


@pytest.mark.long
async def test_a_branch_that_was_never_pushed_is_renamed_in_the_sandbox_alone(foundry: Whole, hub: GitHubAt) -> None:
    task = await foundry.create("append README.md One.", "commit One")
    before = await foundry.until(task, saved)
    known = branches(hub)
    await foundry.ask("PUT", f"/api/tasks/{task}/branch", 202, name="better")
    after = await foundry.until(task, lambda t: not t["rename"])
    assert after["branch"] == git(foundry.box(before), "symbolic-ref", "--short", "HEAD") == "better"
    assert branches(hub) == known


@pytest.mark.long
async def test_a_name_that_git_would_refuse_is_refused_at_once(foundry: Whole) -> None:
    task = await foundry.create("say Hello.")
    await foundry.until(task, saved)
    for name in ("", "a b", "a..b", "-x", "x.lock", "a" * 201):
        refused = await foundry.ask("PUT", f"/api/tasks/{task}/branch", 422, name=name)
        assert refused["field"] == "name"
        assert (await foundry.ask("GET", f"/api/tasks/{task}"))["rename"] is None
