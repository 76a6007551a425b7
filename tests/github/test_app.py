"""The App's tokens: kept while good, replaced when GitHub no longer takes them; git's are narrow and revoked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2 as httpx
import pytest
import structlog

from foundry.github.client import GitHub
from foundry.github.errors import GitHubNotConfigured, GitHubRefused
from tests.actors.github_stage import Sample
from tests.github.conftest import INSTALLATION, TALLY, Answer, push


class Network:
    """Hands out numbered tokens; takes those that are still good."""

    def __init__(self, life: timedelta = timedelta(hours=1)) -> None:
        self.life, self.made, self.good, self.revoking = life, 0, set[str](), 204

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/access_tokens"):
            self.made += 1
            self.good.add(f"ghs_{self.made}")
            ends = (datetime.now(UTC) + self.life).isoformat()
            return httpx.Response(201, json={"token": f"ghs_{self.made}", "expires_at": ends})
        if request.url.path.endswith("/installation/token"):
            return httpx.Response(self.revoking)
        if request.headers["authorization"].partition(" ")[2] not in self.good:
            return httpx.Response(401, json={"message": "Bad credentials"})
        return httpx.Response(200, json=[])


Answering = Callable[[Answer], GitHub]


async def test_without_an_app_it_says_what_to_set() -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(GitHubNotConfigured) as caught:
            await GitHub("http://127.0.0.1:9", http, app_id="", private_key="").branches(1, "o/r")
    assert "FOUNDRY_GITHUB_APP_ID" in caught.value.remedy


async def test_a_token_serves_many_calls(answering: Answering) -> None:
    network = Network()
    github = answering(network)
    await asyncio.gather(*(github.branches(1, "o/r") for _ in range(10)))
    await github.branches(1, "o/r")
    assert network.made == 1


async def test_a_token_near_its_end_is_replaced(answering: Answering) -> None:
    network = Network(life=timedelta(minutes=4))
    github = answering(network)
    await github.branches(1, "o/r")
    await github.branches(1, "o/r")
    assert network.made == 2


async def test_a_token_that_github_no_longer_takes_is_replaced_once(answering: Answering) -> None:
    network = Network()
    github = answering(network)
    await github.branches(1, "o/r")
    network.good.clear()
    await github.branches(1, "o/r")
    assert network.made == 2

    def never(request: httpx.Request) -> httpx.Response:
        answer = network(request)
        network.good.clear()
        return answer

    with pytest.raises(GitHubRefused) as caught:
        await answering(never).branches(1, "o/r")
    assert caught.value.answered == 401
    assert network.made == 4


async def test_a_git_credential_that_cannot_be_revoked_does_not_undo_what_git_did(answering: Answering) -> None:
    network = Network()
    network.revoking = 502
    with structlog.testing.capture_logs() as logs:
        async with answering(network).git_token(1, 5, write=True) as token:
            pass
    assert [entry["event"] for entry in logs] == ["git credential not revoked"]
    assert token not in repr(logs)


async def test_installations_are_listed(github: GitHub) -> None:
    listed = {i.id: i.account.login for i in await github.installations()}
    assert listed.keys() >= {3001, 3002}
    assert listed[INSTALLATION] == "lumen-works"


async def test_a_git_credential_reaches_one_repository_and_ends(github: GitHub, http: httpx.AsyncClient) -> None:
    (tally, *_) = [r for r in await github.repositories(INSTALLATION) if r.name == "tally"]
    async with github.git_token(INSTALLATION, tally.id, write=False) as token:
        seen = await github.as_token(token).get(f"/repositories/{tally.id}", type(tally))
        assert seen.id == tally.id
        with pytest.raises(GitHubRefused) as caught:
            await github.as_token(token).post(f"/repos/{TALLY}/branches/main/rename", {"new_name": "m"})
        assert caught.value.answered == 403
    with pytest.raises(GitHubRefused) as caught:
        await github.as_token(token).get(f"/repositories/{tally.id}", type(tally))
    assert caught.value.answered == 401


async def test_a_missed_delivery_is_found_and_sent_again(sample: Sample, github: GitHub, tmp_path: Path) -> None:
    began = datetime.now(UTC).replace(microsecond=0)
    target = httpx.AsyncClient()
    await target.put(f"{sample.url}/_devkit/webhook", json={"url": "http://127.0.0.1:9/nobody"})
    (tally, *_) = [r for r in await github.repositories(INSTALLATION) if r.name == "tally"]
    await push(github, tally.id, tally.clone_url, "missed", tmp_path)
    missed = [d for d in await github.deliveries(since=began) if d.event == "push"]
    assert missed
    assert not missed[0].arrived
    await github.redeliver(missed[0].id)
    again = [d for d in await github.deliveries(since=began) if d.redelivery]
    assert [d.guid for d in again] == [missed[0].guid]
    assert await github.deliveries(since=datetime.now(UTC) + timedelta(minutes=1)) == []
    await target.aclose()
