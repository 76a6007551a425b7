"""The client's calls against the stand-in GitHub, with real git."""

from __future__ import annotations

from pathlib import Path

import httpx2 as httpx
import pytest
import pytest_asyncio

from foundry.contracts.github_payloads import GitHubRepository
from foundry.github.client import GitHub
from foundry.github.errors import GitHubRefused
from tests.actors.github_stage import Sample
from tests.github.conftest import INSTALLATION, TALLY, push


@pytest_asyncio.fixture
async def tally(github: GitHub) -> GitHubRepository:
    (found,) = [r for r in await github.repositories(INSTALLATION) if r.name == "tally"]
    return found


async def opened(github: GitHub, tally: GitHubRepository, branch: str, directory: Path) -> int:
    await push(github, tally.id, tally.clone_url, branch, directory)
    made = await github.create_pull_request(
        github.as_installation(INSTALLATION),
        TALLY,
        head=branch,
        base="main",
        title=f"About {branch}",
        body="",
        draft=False,
    )
    assert made.outcome == "open"
    return made.number


async def test_members_and_what_they_may_do(github: GitHub) -> None:
    assert {m.login for m in await github.members(INSTALLATION, "lumen-works", "admin")} == {"ada"}
    assert {m.login for m in await github.members(INSTALLATION, "lumen-works", "member")} == {"grace", "linus"}
    caller, tally = github.as_installation(INSTALLATION), "4001"
    ada = await github.permission(caller, tally, "ada")
    assert ada is not None
    assert ada.user is not None
    assert (ada.role, ada.user.id) == ("admin", 1001)
    assert await github.permission(caller, tally, "nobody-of-this-name") is None


async def change(github: GitHub, http: httpx.AsyncClient, sample: Sample, method: str, path: str, body: object) -> None:
    """Somebody else's change, made with a token of the App's."""
    made = await github.installation_token(INSTALLATION)
    url = f"{sample.identity['api_url']}/repos/{TALLY}/{path}"
    answer = await http.request(method, url, json=body, headers={"Authorization": f"Bearer {made.token}"})
    answer.raise_for_status()


async def test_a_branch_is_renamed(github: GitHub, tally: GitHubRepository, tmp_path: Path) -> None:
    await push(github, tally.id, tally.clone_url, "feature/50%#done", tmp_path)
    renamed = await github.rename_branch(INSTALLATION, TALLY, "feature/50%#done", "feature/all")
    assert renamed.name == "feature/all"
    names = [b.name for b in await github.branches(INSTALLATION, TALLY)]
    assert "feature/all" in names
    assert "feature/50%#done" not in names


async def test_a_pull_request_from_open_to_merged(
    github: GitHub, http: httpx.AsyncClient, sample: Sample, tally: GitHubRepository, tmp_path: Path
) -> None:
    number = await opened(github, tally, "merge-me", tmp_path)
    (listed,) = await github.pull_requests(INSTALLATION, TALLY, head="lumen-works:merge-me")
    assert listed.number == number
    await change(github, http, sample, "PATCH", f"pulls/{number}", {"title": "Better words"})
    assert (await github.pull_request(INSTALLATION, TALLY, number)).title == "Better words"
    await change(github, http, sample, "PUT", f"pulls/{number}/merge", {"merge_method": "squash"})
    assert (await github.pull_request(INSTALLATION, TALLY, number)).outcome == "merged"
    assert await github.pull_requests(INSTALLATION, TALLY, head="lumen-works:merge-me") == []


async def test_a_pull_request_is_closed_and_commented_on(
    github: GitHub, http: httpx.AsyncClient, sample: Sample, tally: GitHubRepository, tmp_path: Path
) -> None:
    number = await opened(github, tally, "close-me", tmp_path)
    comment = await github.comment(INSTALLATION, TALLY, number, "Thank you.")
    assert comment.body == "Thank you."
    await change(github, http, sample, "PATCH", f"pulls/{number}", {"state": "closed"})
    assert (await github.pull_request(INSTALLATION, TALLY, number)).outcome == "closed"


async def test_a_second_pull_request_of_one_head_is_refused_in_githubs_words(
    github: GitHub, tally: GitHubRepository, tmp_path: Path
) -> None:
    await opened(github, tally, "twice", tmp_path)
    with pytest.raises(GitHubRefused, match="already exists"):
        await github.create_pull_request(
            github.as_installation(INSTALLATION), TALLY, head="twice", base="main", title="Again", body="", draft=False
        )
