"""From the last release to this one in the middle of each operation, with the real servers of both.

SQLite: the old server is killed and the new one started. PostgreSQL: both run beside each other for a while.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from foundry.devkit.github import GitHubAt
from foundry.runtime.store.migrate import contracted, contraction
from tests.harness import releases
from tests.harness.fleet import Fleet
from tests.harness.life import ORGANIZATION, said, script
from tests.harness.person import Person, sign_in
from tests.harness.replicas import Replica
from tests.harness.stage import stage
from tests.harness.traps import Traps
from tests.postgres import database
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(300)]

LAST = "0.3.0"
LIMIT = 60.0  # seconds for anything that real parts do
HELD = {  # where each operation is interrupted: workflow and step, as the last release calls them
    ("provision", "cloning"),
    ("checkpoint", "saving the work"),
    ("publish", "pushing"),
    ("restore", "restoring"),
    ("rename", "renaming in the sandbox"),
    ("fetch", "fetching"),
    ("idle_stop", "stopping sandbox"),
    ("git_status", "looking at the work"),
    ("release", "stopping sandbox"),
}


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "sqlite":
        yield ""
    else:
        with database(request.getfixturevalue("postgres_server")) as found:
            yield found


@pytest.fixture
def both(tmp_path: Path, sandbox_agent_cache: Path, url: str) -> Iterator[Fleet]:
    """The last release runs, this one does not yet."""
    source = releases.make(LAST, tmp_path / "last")
    with stage(tmp_path, sandbox_agent_cache):
        held = {(workflow, step, "do") for workflow, step in HELD}
        agent = ["/usr/bin/env", f"PYTHONPATH={source}", sys.executable, "-m", "foundry.devkit.agent"]
        old = Replica(
            tmp_path,
            "old",
            Traps(tmp_path / "old.journal", held=held, gate=tmp_path / "gate"),
            source,
            database_url=url,
            agent_launchers={"mock": agent},
        )
        new = Replica(tmp_path, "new", Traps(tmp_path / "new.journal"), database_url=url)
        made = Fleet(tmp_path, [old, new])
        try:
            begin(old)
            sign_in(old.url, GitHubAt(tmp_path / "github").url)
            yield made
        finally:
            for replica in made.replicas:
                if replica.lives:
                    replica.kill()


def saved(task: dict[str, Any]) -> bool:
    """As `tests.harness.life.saved`, of a task as either release shows it."""
    return task["activity"] == "idle" and bool(task["checkpoint"]) and not task["saving"]


def begin(replica: Replica) -> None:
    replica.start()
    assert replica.ready() >= 0, replica.last_words()


@dataclass
class Work:
    """A task for each operation, and what was asked of it."""

    tasks: dict[str, str] = field(default_factory=dict[str, str])
    sent: dict[str, str] = field(default_factory=dict[str, str])  # a message that waits behind the operation


READY = ("checkpoint", "publish", "restore", "rename", "fetch", "idle stop", "look", "release")
WAIT_BEHIND = ("restore", "rename")  # these hold the work tree from the beginning


@asynccontextmanager
async def person(one: Fleet, replica: Replica) -> AsyncIterator[Person]:
    async with one.ada(replica) as ada:
        await ada.see("/api/app", lambda app: ORGANIZATION in {o["id"] for o in app["organizations"]})
        yield ada


async def begun(one: Fleet, ada: Person) -> Work:
    """Every operation is under way, in the step that is held."""
    work = Work()
    for name in READY:
        work.tasks[name] = await ada.create(script(f"append {name}.txt First.", "commit One", f"say {name} is ready."))
    for name in READY:
        await ada.until(work.tasks[name], saved, LIMIT)
    await ada.request("POST", f"/api/tasks/{work.tasks['fetch']}/pull-request", {})
    await ada.until(work.tasks["fetch"], lambda t: t["pull_request"] and not t["publishing"], LIMIT)
    one.gate.touch()
    work.tasks["provision"] = await ada.create(script("say provision is ready."))
    checkpoint = await first_checkpoint(ada, work.tasks["restore"])
    asked = {
        "checkpoint": ("POST", "checkpoints", None),
        "publish": ("POST", "pull-request", {}),
        "restore": ("POST", f"checkpoints/{checkpoint}/restore", None),
        "rename": ("PUT", "branch", {"name": "better/name"}),
        "fetch": ("PUT", "upstream", None),
        "idle stop": ("POST", "idle-stop", None),
        "look": ("POST", "work", None),
        "release": ("POST", "archive", {}),
    }
    for name, (method, path, body) in asked.items():
        await ada.request(method, f"/api/tasks/{work.tasks[name]}/{path}", body)
    old = one.replicas[0]

    def held() -> set[tuple[str, str]]:
        return {(noted.workflow, noted.step) for noted in one.journal("held", old)}

    await eventually(held, lambda found: found >= HELD, limit=LIMIT)
    for name in WAIT_BEHIND:
        task = await ada.until(work.tasks[name], lambda t: True)
        work.sent[name] = f"/api/sessions/{task['active_session']}"
        await ada.request("POST", f"{work.sent[name]}/messages", {"text": script(f"say {name} goes on.")})
    return work


async def first_checkpoint(ada: Person, task: str) -> str:
    await ada.until(task, saved)
    return (await ada.request("GET", f"/api/tasks/{task}/checkpoints"))[0]["id"]


async def ended(one: Fleet, ada: Person, work: Work) -> None:
    """Everything that was interrupted has come to its end, whoever waited behind it went on, and nothing failed."""
    tasks = work.tasks
    provisioned = await ada.until(tasks["provision"], lambda t: t["state"] == "ready" and saved(t), LIMIT)
    assert provisioned["failure"] is None
    await ada.until(tasks["publish"], lambda t: t["pull_request"] and not t["publishing"], LIMIT)
    await ada.until(tasks["restore"], lambda t: not t["restoring"] and "checkpoint 1" in t["note"], LIMIT)
    await ada.until(tasks["rename"], lambda t: t["branch"] == "better/name" and not t["rename"], LIMIT)
    await ada.until(tasks["fetch"], lambda t: not t["fetching"], LIMIT)
    await ada.until(tasks["idle stop"], lambda t: t["sandbox_stopped"], LIMIT)
    archived = await ada.until(tasks["release"], lambda t: t["archived"], LIMIT)
    await ada.see(f"/api/sandboxes/{archived['sandbox']}", lambda box: box["state"] == "deleted", LIMIT)
    for name, session in work.sent.items():
        await ada.see(session, lambda s, name=name: said(s, f"{name} goes on."), LIMIT)
    for name in set(tasks) - {"release", "idle stop"}:
        await ada.until(tasks[name], saved, LIMIT)
    await ada.see("/api/app/inspect", lambda held: not held["workflows"], LIMIT)
    issues = await ada.request("GET", f"/api/organizations/{ORGANIZATION}/issues")
    assert [issue["failure"] for issue in issues] == []


async def still_works(ada: Person, work: Work) -> None:
    """Everything can be done with the tasks of before."""
    task = work.tasks["idle stop"]
    found = await ada.until(task, lambda t: True)
    place = f"/api/sessions/{found['active_session']}"
    await ada.request("POST", f"{place}/messages", {"text": script("append more.txt More.", "say Awake.")})
    await ada.see(place, lambda s: said(s, "Awake."), LIMIT)
    await ada.until(task, saved, LIMIT)
    await ada.request("POST", f"/api/tasks/{task}/archive", {})
    await ada.see(f"/api/sandboxes/{found['sandbox']}", lambda box: box["state"] == "deleted", LIMIT)


def contracted_by(one: Fleet, url: str) -> bool:
    """Whether nothing is left that only the last release uses."""
    return contracted(url or f"sqlite:///{one.home / 'data' / 'foundry.db'}")


async def test_every_operation_goes_on_under_this_release(both: Fleet, url: str) -> None:
    old, new = both.replicas
    async with person(both, old) as ada:
        work = await begun(both, ada)
    if url:  # beside each other, for a while
        begin(new)
        async with person(both, old) as there, person(both, new) as here:
            for asks, sees in ((there, here), (here, there)):
                task = await asks.create(script("say Beside."))
                await sees.until(task, lambda t: t["phase"] == "cloning", LIMIT)
                work.tasks[f"beside {task}"] = task
            both.gate.unlink()
            for name, task in work.tasks.items():
                if name.startswith("beside"):
                    for sees in (there, here):
                        await sees.until(task, saved, LIMIT)
            await ended(both, here, work)
        assert contraction() is None or not contracted_by(both, url), "a server of the last release lives"
        old.stop()
    else:
        old.kill()
        both.gate.unlink()
        begin(new)
    async with person(both, new) as ada:
        await ended(both, ada, work)
        await eventually(lambda: contracted_by(both, url), limit=LIMIT)
        await still_works(ada, work)
