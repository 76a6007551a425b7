"""The client's calls against the stand-in GitHub, with real git."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_asyncio

from foundry.contracts.github_payloads import GitHubRepository
from foundry.github.client import GitHub
from foundry.github.errors import GitHubNotFound, GitHubRefused
from tests.github.conftest import INSTALLATION, TALLY, push


@pytest_asyncio.fixture
async def tally(github: GitHub) -> GitHubRepository:
    (found,) = [r for r in await github.repositories(INSTALLATION) if r.name == "tally"]
    return found


async def opened(github: GitHub, tally: GitHubRepository, branch: str, directory: Path) -> int:
    await push(github, tally.id, tally.clone_url, branch, directory)
    made = await github.create_pull_request(
        INSTALLATION, TALLY, head=branch, base="main", title=f"About {branch}", body="", draft=False
    )
    assert made.outcome == "open"
    return made.number


async def test_a_repository_is_found_by_its_number(github: GitHub, tally: GitHubRepository) -> None:
    assert await github.repository(INSTALLATION, tally.id) == tally
    with pytest.raises(GitHubNotFound):
        await github.repository(INSTALLATION, 1)


async def test_members_and_what_they_may_do(github: GitHub) -> None:
    assert "ada" in {m.login for m in await github.members(INSTALLATION, "lumen-works")}
    assert await github.permission(INSTALLATION, TALLY, "ada") == "admin"
    assert await github.permission(INSTALLATION, TALLY, "nobody-of-this-name") == "none"


async def test_a_branch_comes_is_renamed_and_goes(github: GitHub, tally: GitHubRepository, tmp_path: Path) -> None:
    await push(github, tally.id, tally.clone_url, "feature/50%#done", tmp_path)
    found = await github.branch(INSTALLATION, TALLY, "feature/50%#done")
    assert found is not None
    assert found.commit is not None
    renamed = await github.rename_branch(INSTALLATION, TALLY, "feature/50%#done", "feature/all")
    assert renamed.name == "feature/all"
    assert "feature/all" in [b.name for b in await github.branches(INSTALLATION, TALLY)]
    assert await github.delete_branch(INSTALLATION, TALLY, "feature/all")
    assert not await github.delete_branch(INSTALLATION, TALLY, "feature/all")
    assert await github.branch(INSTALLATION, TALLY, "feature/all") is None


async def test_a_pull_request_from_open_to_merged(github: GitHub, tally: GitHubRepository, tmp_path: Path) -> None:
    number = await opened(github, tally, "merge-me", tmp_path)
    (listed,) = await github.pull_requests(INSTALLATION, TALLY, head="lumen-works:merge-me")
    assert listed.number == number
    edited = await github.edit_pull_request(INSTALLATION, TALLY, number, {"title": "Better words"})
    assert edited.title == "Better words"
    with pytest.raises(GitHubRefused) as caught:
        await github.merge_pull_request(INSTALLATION, TALLY, number, head_sha="0" * 40)
    assert caught.value.answered == 409
    merged = await github.merge_pull_request(INSTALLATION, TALLY, number, head_sha=listed.head.sha, method="squash")
    assert merged.merged
    assert (await github.pull_request(INSTALLATION, TALLY, number)).outcome == "merged"
    assert await github.pull_requests(INSTALLATION, TALLY, head="lumen-works:merge-me") == []


async def test_a_pull_request_is_closed_and_commented_on(
    github: GitHub, tally: GitHubRepository, tmp_path: Path
) -> None:
    number = await opened(github, tally, "close-me", tmp_path)
    comment = await github.comment(INSTALLATION, TALLY, number, "Thank you.")
    assert comment.body == "Thank you."
    closed = await github.edit_pull_request(INSTALLATION, TALLY, number, {"state": "closed"})
    assert closed.outcome == "closed"


async def test_a_second_pull_request_of_one_head_is_refused_in_githubs_words(
    github: GitHub, tally: GitHubRepository, tmp_path: Path
) -> None:
    await opened(github, tally, "twice", tmp_path)
    with pytest.raises(GitHubRefused, match="already exists"):
        await github.create_pull_request(
            INSTALLATION, TALLY, head="twice", base="main", title="Again", body="", draft=False
        )
