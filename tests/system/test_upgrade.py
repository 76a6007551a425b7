"""From one version to the next in the middle of provisioning, with the real servers of both."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundry.runtime.store.migrate import engine_of
from tests.harness import next_version
from tests.harness.fleet import LIMIT, Fleet, fleet
from tests.harness.life import ORGANIZATION, script
from tests.harness.replicas import Replica
from tests.harness.traps import Traps
from tests.postgres import database

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(150)]

HELD = {("provision", "cloning", "do")}  # right behind the step that the next version has more


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield ""
    else:
        with database(request.getfixturevalue("postgres_server")) as found:
            yield found


@pytest.fixture
def both(tmp_path: Path, sandbox_agent_cache: Path, url: str) -> Iterator[Fleet]:
    """The old version runs, the next one does not yet."""
    with fleet(tmp_path, sandbox_agent_cache, url, ("old",), HELD) as found:
        traps = Traps(tmp_path / "new.journal", held=HELD, gate=found.gate)
        source = next_version.make(tmp_path / "next")
        # its sandboxes see the next version's sources, and not these
        agent = ["/usr/bin/env", f"PYTHONPATH={source}", sys.executable, "-m", "foundry.devkit.agent"]
        found.replicas.append(
            Replica(tmp_path, "new", traps, source, database_url=url, agent_launchers={"mock": agent})
        )
        yield found


def revision(one: Fleet, url: str) -> str:
    engine = engine_of(url or f"sqlite:///{one.data}/foundry.db")
    with engine.connect() as connection:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
    engine.dispose()
    return found


def steps(one: Fleet, replica: Replica, workflow: str) -> list[str]:
    """That began on this one, each once, in order."""
    return list(dict.fromkeys(noted.step for noted in one.journal("began", replica, id=workflow)))


async def test_a_provisioning_begun_by_one_version_goes_on_under_the_next(both: Fleet, url: str) -> None:
    old, new = both.replicas
    task, workflow = await both.provisioning_on(old)
    tasks = [task]
    if url:  # replicas of both at once, for a while
        begin(new)
        assert revision(both, url) == next_version.REVISION
        for one, other in ((old, new), (new, old)):
            async with both.ada(one) as ada:
                tasks.append(await ada.create(script(f"say Asked {one.name}.")))
            async with both.ada(other) as ada:
                await ada.until(tasks[-1], lambda t: t["phase"] == "cloning", LIMIT)
                await ada.see(f"/api/organizations/{ORGANIZATION}/tasks", lambda seen: listed(seen) >= set(tasks))
        old.stop()
    else:
        old.kill()
        begin(new)
    both.gate.unlink()
    async with both.ada(new) as ada:
        for task in tasks:
            await ada.until(task, lambda t: t["state"] == "ready", LIMIT)
        assert steps(both, new, workflow)[0] == "cloning", "it goes on where it was, without the new step"

        task, workflow = await both.provisioning_on(new)
        both.gate.unlink()
        await ada.until(task, lambda t: t["state"] == "ready", LIMIT)
        assert next_version.STEP in steps(both, new, workflow)
        await ada.until(task, lambda t: t["activity"] == "idle", LIMIT)
        issues = await ada.request("GET", f"/api/organizations/{ORGANIZATION}/issues")
        assert [(i["failure"]["workflow"], i["failure"]["step"], i["failure"]["message"]) for i in issues] == []

    new.stop()
    old.start()
    assert old.ready() == -1
    assert old.last_words().splitlines()[-1].endswith("or restore the backup from before the migration.")


def listed(seen: list[dict[str, Any]]) -> set[str]:
    return {task["id"] for task in seen}


def begin(replica: Replica) -> None:
    replica.start()
    assert replica.ready() >= 0, replica.last_words()
