"""Fifty provisionings in flight on one server, and kill -9: all of them go on within seconds of the next start."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundry.contracts.sandbox_provider import Endpoint
from foundry.devkit.github import GitHubAt
from tests.harness.fleet import Fleet, measured
from tests.harness.life import ORGANIZATION, script
from tests.harness.person import sign_in
from tests.harness.replicas import Replica
from tests.harness.stage import ran_again, stage
from tests.harness.traps import Traps
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(150)]

MANY = 50
RESUMED = 5.0  # seconds from the moment at which the server takes requests again
LIMIT = 60.0  # seconds for all of them

# Fifty sandbox-agents would be a test of this machine; what is made for them up to there is real.
PRETENDED = {
    ("provision", "starting sandbox-agent"): Endpoint(url="http://127.0.0.1:9"),
    ("provision", "waiting for health"): None,
    ("provision", "cloning"): "0" * 40,
    ("provision", "installing agent"): None,
}


@pytest.fixture
def home(tmp_path: Path, sandbox_agent_cache: Path) -> Iterator[Path]:
    with stage(tmp_path, sandbox_agent_cache) as ready:
        yield ready


async def test_all_go_on_within_seconds_of_the_next_start(home: Path) -> None:
    traps = Traps(
        home / "foundry.journal", held={("provision", "creating sandbox", "do")}, gate=home / "gate",
        pretended=PRETENDED, broken={("open_session", "choosing server")},
    )  # fmt: skip
    foundry = Replica(home, traps=traps)
    one = Fleet(home, [foundry])
    try:
        one.up()
        await asyncio.to_thread(sign_in, foundry.url, GitHubAt(home / "github").url)
        one.gate.touch()
        async with one.ada() as ada:
            await ada.see("/api/app", lambda app: ORGANIZATION in {o["id"] for o in app["organizations"]})
            tasks = await asyncio.gather(*(ada.create(script("say Here."), title=f"Task {n}") for n in range(MANY)))
            await eventually(lambda: one.journal("held", foundry), lambda held: len(held) == MANY, limit=LIMIT)

            foundry.kill()
            killed = time.time()
            foundry.start()
            assert foundry.ready() >= 0
            answers = time.time()
            held = await eventually(
                lambda: one.journal("held", foundry, since=killed), lambda held: len(held) == MANY, limit=LIMIT
            )
            assert measured("all fifty go on after", held[-1].at - answers) < RESUMED
            resumed = [(w["generation"], w["crashes"], w["status"]) for w in await one.provisionings(foundry)]
            assert resumed == [(1, 1, "PENDING")] * MANY
            one.gate.unlink()
            for task in tasks:
                await ada.until(task, lambda t: t["state"] == "ready", LIMIT)
    finally:
        if foundry.lives:
            foundry.kill()
    assert ran_again(home, "foundry.journal") == []
