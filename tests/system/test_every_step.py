"""Every step of every workflow: failing there once, its answer lost there, killed there, failing there always.

The work comes to its end, nothing that was recorded is done again, and what cannot go on says why and offers a way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from foundry.app import house
from foundry.devkit.github import GitHubAt
from tests.harness.life import ORGANIZATION, Life
from tests.harness.person import Person, sign_in
from tests.harness.replicas import Replica
from tests.harness.stage import ran_again, stage
from tests.harness.traps import Traps, sprung
from tests.system.whole import whole

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(400)]

STEPS = {(w.name, step) for w in house().workflows.by_name.values() for step in w.steps}
QUIET = {"agent quiet": 1.0}  # seconds


@pytest.fixture
def home(tmp_path: Path, sandbox_agent_cache: Path) -> Iterator[Path]:
    with stage(tmp_path, sandbox_agent_cache) as ready:
        yield ready


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Hundreds of failures are meant."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


async def test_each_step_fails_once_and_loses_its_answer_once(home: Path) -> None:
    traps = Traps(home / "journal", stumble=True)
    with sprung(traps):
        async with whole(home, watchdog=QUIET) as foundry:
            await Life(foundry, home / "data", GitHubAt(home / "github")).live()
    assert sorted(STEPS - traps.met) == [], "these were never come to"
    assert ran_again(home) == []


def test_killed_at_each_step_it_goes_on_there(home: Path) -> None:
    foundry = Replica(home, traps=Traps(home / "journal", die_once_at_each=True), watchdog=QUIET)
    hub = GitHubAt(home / "github")

    async def keep_alive() -> None:
        while True:
            if not foundry.lives:
                foundry.start()
            await asyncio.sleep(0.02)

    async def live() -> None:
        keeper = asyncio.create_task(keep_alive())
        try:
            await asyncio.to_thread(sign_in, foundry.url, hub.url)
            person = Person([foundry], home / "data")
            await person.see("/api/app", lambda app: ORGANIZATION in {o["id"] for o in app["organizations"]})
            await Life(person, home / "data", hub).live()
            await person.see("/api/app/inspect", lambda held: not held["workflows"])  # what was interrupted ends, too
            await person.close()
        finally:
            keeper.cancel()

    try:
        asyncio.run(live())
    except Exception as error:
        error.add_note("\n".join((home / "journal").read_text().splitlines()[-60:]))
        error.add_note(foundry.last_words())
        raise
    finally:
        if foundry.lives:
            foundry.stop()
    died = {tuple(line.split("\t")[2:4]) for line in (home / "journal").read_text().splitlines() if line[:4] == "died"}
    assert sorted(STEPS - died) == [], "nobody was killed there"
    assert ran_again(home) == []
