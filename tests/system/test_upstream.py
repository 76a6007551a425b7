"""What others do to a task's branch on GitHub, on real git: noticed by webhook or by comparing, got, merged, pushed.

Killed and failing at each of its steps: tests/system/test_every_step.py and test_failing_for_good.py.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
import uvicorn

from foundry.api.guard import WEBHOOKS
from foundry.contracts.repository import RepositoryRef
from foundry.devkit.github import GitHubAt
from tests.harness.life import REPOSITORY, push_as_another
from tests.harness.stage import stage
from tests.system.whole import Whole, saved, whole
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

SELDOM = 600.0  # seconds: only webhooks tell
OFTEN = 0.5  # seconds: only comparing tells, no webhook is sent


@pytest.fixture
def home(tmp_path: Path, sandbox_agent_cache: Path) -> Iterator[Path]:
    with stage(tmp_path, sandbox_agent_cache) as ready:
        yield ready


@pytest.fixture
def hub(home: Path) -> GitHubAt:
    return GitHubAt(home / "github")


@asynccontextmanager
async def heard(home: Path, hub: GitHubAt) -> AsyncIterator[Whole]:
    """A Foundry that listens for webhooks and compares nothing after its start."""
    async with whole(home, reconcile=SELDOM) as foundry:
        config = uvicorn.Config(foundry.app, host="127.0.0.1", port=0, log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        try:
            await eventually(lambda: server.started, limit=20)
            port = server.servers[0].sockets[0].getsockname()[1]
            hub.control("PUT", "webhook", {"url": f"http://127.0.0.1:{port}{WEBHOOKS}"})
            yield foundry
        finally:
            hub.control("PUT", "webhook", {"url": None})
            server.should_exit = True
            await serving


@pytest.fixture(params=["webhooks", pytest.param("comparing", marks=pytest.mark.long)])
async def foundry(request: pytest.FixtureRequest, home: Path, hub: GitHubAt) -> AsyncIterator[Whole]:
    async with heard(home, hub) if request.param == "webhooks" else whole(home, reconcile=OFTEN) as running:
        yield running


@pytest.fixture
async def comparing(home: Path) -> AsyncIterator[Whole]:
    async with whole(home, reconcile=OFTEN) as running:
        yield running


def git(place: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=place, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def on_github(hub: GitHubAt, method: str, path: str, **body: object) -> Any:
    headers = {"Authorization": f"Bearer {hub.token()}"}
    url = f"{hub.api}/repos/{REPOSITORY}/{path}"
    answer = httpx.request(method, url, json=body or None, headers=headers, trust_env=False).raise_for_status()
    return answer.json() if answer.content else None


def head(hub: GitHubAt, branch: str) -> str:
    return on_github(hub, "GET", f"git/ref/heads/{branch}")["object"]["sha"]


async def push(hub: GitHubAt, task: dict[str, Any], name: str = "theirs.txt") -> str:
    return await asyncio.to_thread(push_as_another, hub, task["branch"], name)


async def published(foundry: Whole) -> dict[str, Any]:
    """A task with one commit on GitHub, which nothing is the matter with."""
    task = await foundry.create("append notes.txt One.", "commit One")
    await foundry.until(task, saved)
    await foundry.ask("POST", f"/api/tasks/{task}/pull-request", 202)
    found = await foundry.until(task, lambda t: t["pull_request"] and not t["publishing"] and saved(t))
    assert found["upstream"]["state"] == "even"
    return found


def is_(state: str) -> Any:
    return lambda t: t["upstream"]["state"] == state and not t["fetching"] and not t["publishing"]


async def test_what_somebody_else_pushes_comes_into_the_work_tree(foundry: Whole, hub: GitHubAt) -> None:
    task = await published(foundry)
    box = foundry.box(task)
    theirs = await push(hub, task)
    after = await foundry.until(task["id"], lambda t: t["work"]["head"] == theirs and not t["fetching"])
    assert (box / "theirs.txt").read_text() == "Theirs.\n"
    assert git(box, "status", "--porcelain") == ""
    assert git(box, "symbolic-ref", "--short", "HEAD") == task["branch"]
    assert "1 commit from GitHub" in after["note"]
    assert after["upstream"] == {"head": theirs, "state": "even", "said": ""}
    assert (after["work"]["behind"], after["work"]["unpushed"]) == (0, 0)
    assert "x-access-token" not in git(box, "config", "--list"), "no credential is left"

    await foundry.turn(task["id"], "append notes.txt Two.", "commit Two")
    await foundry.ask("POST", f"/api/tasks/{task['id']}/pull-request", 202)
    await foundry.until(task["id"], lambda t: not t["publishing"] and not t["work"]["unpushed"])
    assert head(hub, task["branch"]) == git(box, "rev-parse", "HEAD")


@pytest.mark.long
async def test_beside_commits_of_its_own_they_are_fetched_and_the_agent_merges_them(
    foundry: Whole, hub: GitHubAt
) -> None:
    task = await published(foundry)
    box = foundry.box(task)
    await foundry.turn(task["id"], "append notes.txt Two.", "commit Two")
    theirs = await push(hub, task)
    after = await foundry.until(task["id"], is_("fetched"))
    assert after["upstream"]["said"] == (
        f"1 commit from GitHub is fetched as origin/{task['branch']}: ask the agent to merge or rebase."
    )
    assert git(box, "log", "-1", "--format=%s") == "Two"
    assert (after["work"]["behind"], after["work"]["unpushed"]) == (1, 1)

    await foundry.turn(task["id"], f"run git merge -q --no-edit origin/{task['branch']}")
    merged = await foundry.until(task["id"], is_("even"))
    assert merged["work"]["behind"] == 0
    await foundry.ask("POST", f"/api/tasks/{task['id']}/pull-request", 202)
    await foundry.until(task["id"], lambda t: not t["publishing"] and not t["work"]["unpushed"])
    assert head(hub, task["branch"]) == git(box, "rev-parse", "HEAD")
    assert theirs in git(box, "rev-list", "HEAD").split()


async def test_a_push_that_github_does_not_take_has_a_way_on(home: Path, hub: GitHubAt) -> None:
    """Nobody has told of the other commits: neither a webhook nor who compares."""
    async with whole(home, reconcile=SELDOM) as foundry:
        task = await published(foundry)
        await foundry.turn(task["id"], "append notes.txt Two.", "commit Two")
        await push(hub, task)
        await foundry.ask("POST", f"/api/tasks/{task['id']}/pull-request", 202)
        failed = await foundry.until(task["id"], lambda t: t["failure"] and is_("fetched")(t))
        assert failed["failure"]["code"] == "git_rejected"
        await foundry.turn(task["id"], f"run git rebase -q origin/{task['branch']}")
        await foundry.ask("POST", f"/api/tasks/{task['id']}/pull-request", 202)
        after = await foundry.until(task["id"], lambda t: not t["publishing"] and not t["work"]["unpushed"])
        assert after["failure"] is None
        assert head(hub, task["branch"]) == git(foundry.box(task), "rev-parse", "HEAD")


@pytest.mark.long
async def test_what_is_not_committed_and_what_git_ignores_stays(foundry: Whole, hub: GitHubAt) -> None:
    task = await published(foundry)
    box = foundry.box(task)
    await foundry.turn(task["id"], "append notes.txt Not committed.")
    await push(hub, task)
    await foundry.until(task["id"], is_("fetched"))
    assert not (box / "theirs.txt").exists()

    git(box, "checkout", "--quiet", "notes.txt")
    (box / ".git" / "info" / "exclude").write_text("theirs.txt\n")
    (box / "theirs.txt").write_text("Mine.\n")
    await foundry.ask("PUT", f"/api/tasks/{task['id']}/upstream", 202)
    await foundry.until(task["id"], is_("fetched"))
    assert (box / "theirs.txt").read_text() == "Mine.\n"

    (box / "theirs.txt").unlink()
    await foundry.ask("PUT", f"/api/tasks/{task['id']}/upstream", 202)
    await foundry.until(task["id"], is_("even"))
    assert (box / "theirs.txt").read_text() == "Theirs.\n"


@pytest.mark.long
async def test_a_branch_that_was_deleted_is_said_and_pushed_again(foundry: Whole, hub: GitHubAt) -> None:
    task = await published(foundry)
    on_github(hub, "DELETE", f"git/refs/heads/{task['branch']}")
    after = await foundry.until(task["id"], is_("deleted"))
    assert after["upstream"]["said"] == "The branch was deleted on GitHub; publishing pushes it again."
    await foundry.ask("POST", f"/api/tasks/{task['id']}/pull-request", 202)
    await foundry.until(task["id"], is_("even"))
    assert head(hub, task["branch"]) == git(foundry.box(task), "rev-parse", "HEAD")


@pytest.mark.long
async def test_a_branch_that_was_rewritten_is_fetched_and_the_work_here_stays(comparing: Whole, hub: GitHubAt) -> None:
    task = await published(comparing)
    box = comparing.box(task)
    before = git(box, "rev-parse", "HEAD")
    main = head(hub, "main")
    on_github(hub, "PATCH", f"git/refs/heads/{task['branch']}", sha=main, force=True)
    after = await comparing.until(task["id"], lambda t: t["work"]["upstream"] == main and is_("even")(t))
    assert git(box, "rev-parse", "HEAD") == before
    assert after["work"]["unpushed"] == 1, "it is nowhere else any more"


@pytest.mark.long
async def test_the_base_comes_along_and_what_is_the_tasks_own_is_told_from_it(comparing: Whole, hub: GitHubAt) -> None:
    task = await published(comparing)
    theirs = await asyncio.to_thread(push_as_another, hub, task["base"], "base.txt")
    await comparing.ask("PUT", f"/api/tasks/{task['id']}/upstream", 202)
    await comparing.until(task["id"], lambda t: not t["fetching"])
    assert git(comparing.box(task), "rev-parse", f"origin/{task['base']}") == theirs
    after = await comparing.turn(task["id"], f"run git merge -q --no-edit origin/{task['base']}")
    assert after["work"]["commits_ahead"] == 2, "its own and the merge, not the base's"
    assert "base.txt" not in after["work"]["diff"]


@pytest.mark.long
async def test_a_merge_whose_webhook_was_missed_archives_the_task(comparing: Whole, hub: GitHubAt) -> None:
    task = await published(comparing)
    on_github(hub, "PUT", f"pulls/{task['pull_request']['number']}/merge")
    after = await comparing.until(task["id"], lambda t: t["state"] == "archived")
    assert after["archived"] == "merged"


@pytest.mark.long
async def test_comparing_costs_nothing_of_githubs_budget(comparing: Whole, hub: GitHubAt) -> None:
    await published(comparing)

    def used() -> int:
        headers = {"Authorization": f"Bearer {hub.token()}"}
        seen = httpx.get(f"{hub.api}/rate_limit", headers=headers, trust_env=False).json()
        return seen["resources"]["core"]["used"]

    rounds = counted(comparing)
    await eventually(lambda: len(rounds) >= 4, limit=20)  # what was new has been asked for
    before, done = used(), len(rounds)
    await eventually(lambda: len(rounds) >= done + 6, limit=20)
    assert used() - before <= 1, "at most the question itself"


def counted(foundry: Whole) -> list[str]:
    """The repositories whose branches and pull requests have been compared with GitHub's from now on."""
    github, done = foundry.doors.github, list[str]()
    look = github.open_pull_requests

    async def looked(repository: RepositoryRef) -> list[int]:
        found = await look(repository)
        done.append(repository.full_name)
        return found

    github.open_pull_requests = looked
    return done
