"""Deadlines, pages, conditional requests, the budget, and GitHub's errors as ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx2 as httpx
import jwt
import pytest

from foundry.contracts.errors import FoundryError
from foundry.contracts.github_payloads import GitHubAccount, GitHubBudget
from foundry.github.client import GitHub
from foundry.github.client_base import budget_after
from foundry.github.errors import GitHubNotFound, GitHubRateLimited, GitHubRefused, GitHubUnavailable
from foundry.github.etag_cache import CachedResponse as Kept
from foundry.github.etag_cache import KeptInMemory
from tests.github.conftest import INSTALLATION, TALLY, Answer

Answering = Callable[[Answer], GitHub]
PLACE = "/users/ada"  # whatever one call gets


def token(request: httpx.Request) -> httpx.Response | None:
    """What every installation's first call needs."""
    if not request.url.path.endswith("/access_tokens"):
        return None
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    return httpx.Response(201, json={"token": "ghs_x", "expires_at": ends})


async def test_the_apps_jwt_is_as_github_asks(answering: Answering, private_key: str) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=[])

    await answering(answer).installations()
    scheme, _, given = seen[0].headers["authorization"].partition(" ")
    assert scheme == "bearer"
    assert jwt.get_unverified_header(given)["alg"] == "RS256"
    claims = jwt.decode(given, options={"verify_signature": False})
    assert claims["iss"] == "77"
    assert claims["iat"] <= time.time() < claims["exp"] <= time.time() + 600  # GitHub takes ten minutes at most


async def test_a_list_is_followed_to_its_last_page(answering: Answering) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if made := token(request):
            return made
        page = int(request.url.params.get("page", "1"))
        assert request.url.params["per_page"] == "100"
        link = f'<{request.url.copy_set_param("page", page + 1)}>; rel="next"' if page < 3 else ""
        body = [{"name": f"b{page}.{n}"} for n in range(2)]
        return httpx.Response(200, json=body, headers={"link": link} if link else {})

    names = [branch.name for branch in await answering(answer).branches(1, "o/r")]
    assert names == ["b1.0", "b1.1", "b2.0", "b2.1", "b3.0", "b3.1"]


async def test_an_answer_that_did_not_change_is_taken_from_memory(answering: Answering) -> None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if made := token(request):
            return made
        asked.append(request.headers.get("if-none-match"))
        if asked[-1] == '"1"' and len(asked) < 3:
            return httpx.Response(304, headers={"etag": '"1"'})
        return httpx.Response(200, json=[{"name": f"n{len(asked)}"}], headers={"etag": f'"{len(asked)}"'})

    github = answering(answer)
    assert [[b.name for b in await github.branches(1, "o/r")] for _ in range(3)] == [["n1"], ["n1"], ["n3"]]
    assert asked == [None, '"1"', '"1"']


async def test_what_one_installation_was_told_is_not_told_to_another(answering: Answering) -> None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if made := token(request):
            return made
        asked.append(request.headers.get("if-none-match"))
        return httpx.Response(200, json=[], headers={"etag": '"1"'})

    github = answering(answer)
    await github.branches(1, "o/r")
    await github.branches(2, "o/r")
    assert asked == [None, None]


async def test_a_list_that_is_not_where_it_should_be_is_no_empty_list(answering: Answering) -> None:
    github = answering(lambda request: token(request) or httpx.Response(200, json={"items": []}))
    with pytest.raises(GitHubUnavailable, match="no repositories"):
        await github.repositories(1)


def test_kept_answers_stay_within_their_bytes() -> None:
    kept = KeptInMemory(limit=10)
    kept.put("a", "1", Kept("e", {}, b"12345"))
    kept.put("a", "2", Kept("e", {}, b"12345"))
    assert kept.get("a", "1")  # used last
    kept.put("a", "3", Kept("e", {}, b"12345"))
    assert [bool(kept.get("a", url)) for url in "123"] == [True, False, True]
    kept.put("a", "4", Kept("e", {}, b"x" * 11))
    assert [bool(kept.get("a", url)) for url in "1234"] == [False] * 4


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (httpx.Response(500), GitHubUnavailable, "500"),
        (httpx.Response(520, text="<html>"), GitHubUnavailable, "520"),
        (httpx.Response(200, text="<html>", headers={"content-type": "text/html"}), GitHubUnavailable, ""),
        (httpx.Response(200, text="{", headers={"content-type": "application/json"}), GitHubUnavailable, ""),
        (httpx.Response(200, json={"id": "x"}), GitHubUnavailable, "not as documented"),
        (httpx.Response(404, json={"message": "Not Found"}), GitHubNotFound, "Not Found"),
        (httpx.Response(410, json={"message": "Gone"}), GitHubNotFound, "Gone"),
        (httpx.Response(422, json={"message": "Invalid", "errors": [{"message": "why"}]}), GitHubRefused, "why"),
        (httpx.Response(422, text="no JSON"), GitHubRefused, "422"),
        (httpx.Response(403, json={"message": "Resource not accessible by integration"}), GitHubRefused, "accessible"),
        (httpx.Response(401, json={"message": "A JSON web token could not be decoded"}), GitHubRefused, "401"),
    ],
)  # fmt: skip
async def test_githubs_errors_become_ours(
    answering: Answering, answer: httpx.Response, error: type[FoundryError], words: str
) -> None:
    with pytest.raises(error) as caught:
        await answering(lambda request: answer).as_token("ghu_x").get(PLACE, GitHubAccount)
    assert words in str(caught.value)
    assert caught.value.transient is (error is GitHubUnavailable)


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.PoolTimeout, httpx.RemoteProtocolError])
async def test_a_github_that_does_not_answer_may_be_asked_again(
    answering: Answering, error: type[httpx.TransportError]
) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise error("away", request=request)

    with pytest.raises(GitHubUnavailable, match=error.__name__):
        await answering(away).as_token("ghu_x").get(PLACE, GitHubAccount)


def limited(status: int, **headers: str) -> httpx.Response:
    return httpx.Response(
        status, json={"message": "rate limit"}, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


@pytest.mark.parametrize("status", [403, 429])
async def test_a_used_up_budget_says_until_when_and_asks_no_more(answering: Answering, status: int) -> None:
    reset = int(time.time()) + 900
    calls: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request)
        return limited(status, x_ratelimit_limit="60", x_ratelimit_remaining="0", x_ratelimit_reset=str(reset))

    caller = answering(answer).as_token("ghu_x")
    for _ in range(2):
        with pytest.raises(GitHubRateLimited) as caught:
            await caller.get(PLACE, GitHubAccount)
        assert caught.value.reset_at == datetime.fromtimestamp(reset, UTC)
        assert caught.value.transient
    assert len(calls) == 1


async def test_the_wait_that_github_names_is_kept_and_then_over(answering: Answering) -> None:
    answers = iter([limited(403, retry_after="0"), httpx.Response(200, json={"id": 1, "login": "ada"})])
    caller = answering(lambda request: next(answers)).as_token("ghu_x")
    with pytest.raises(GitHubRateLimited):
        await caller.get(PLACE, GitHubAccount)
    assert (await caller.get(PLACE, GitHubAccount)).login == "ada"


def test_the_budget_is_what_the_last_answer_said() -> None:
    headers = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "4321", "x-ratelimit-reset": "1800000000"}
    seen = budget_after(GitHubBudget(), 200, headers)
    assert (seen.limit, seen.remaining, seen.blocked_until) == (5000, 4321, None)
    assert seen.reset_at == datetime.fromtimestamp(1800000000, UTC)
    assert budget_after(seen, 200, {}) == seen  # a GHES without limits says nothing
    assert budget_after(seen, 403, headers).blocked_until is None  # refused for another reason
    secondary = budget_after(seen, 403, headers, b"You have exceeded a secondary rate limit.").blocked_until
    assert secondary is not None
    assert timedelta(0) < secondary - datetime.now(UTC) <= timedelta(seconds=60)


async def test_the_stand_ins_budget_is_counted(github: GitHub) -> None:
    await github.branches(INSTALLATION, TALLY)
    before = github.budget(INSTALLATION).remaining
    assert before is not None
    await github.branches(INSTALLATION, TALLY)  # has not changed: free
    await github.members(INSTALLATION, "lumen-works", "admin")
    assert github.budget(INSTALLATION).remaining == before - 1
    assert github.budget(INSTALLATION).limit == 5000
