"""Every state that should pass and does not says why and offers what helps; the real thing is made to hang."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from foundry.runtime.workflow import flow as workflow
from foundry.sandboxes.local import processes
from tests.harness.stage import stage
from tests.system.whole import Whole, saved, script, whole
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(150)]

SOON = 1.0  # seconds that whatever is tested may last

# An agent that does not come up before somebody has put `go` into its home
SHY = f'[ -e "$HOME/go" ] || sleep 600; exec {shlex.quote(sys.executable)} -m foundry.devkit.agent'


@pytest.fixture
def home(tmp_path: Path, sandbox_agent_cache: Path) -> Iterator[Path]:
    with stage(tmp_path, sandbox_agent_cache) as ready:
        yield ready


@asynccontextmanager
async def watched(home: Path, *rows: str, **settings: Any) -> AsyncIterator[Whole]:
    """A Foundry in which these may last a second."""
    async with whole(home, watchdog=dict.fromkeys(rows, SOON), **settings) as foundry:
        yield foundry


async def late(foundry: Whole, task: str, what: str) -> dict[str, Any]:
    """The task once it says that this takes too long."""
    found = await foundry.until(task, lambda t: t["overdue"] and t["overdue"]["what"] == what)
    assert found["overdue"]["reason"]
    assert found["overdue"]["remedy"]
    return found


async def well(foundry: Whole, task: str) -> dict[str, Any]:
    """The task once its agent has ended its turn and nothing is late."""
    return await foundry.until(task, lambda t: t["activity"] == "idle" and t["overdue"] is None)


async def session_until(foundry: Whole, place: str, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The session once this is true of it."""
    found = await eventually(lambda: foundry.ask("GET", place), lambda s: holds(s["session"]), limit=30)
    return found["session"]


def fault(foundry: Whole, **wish: object) -> None:
    """Let the stand-in GitHub hang."""
    at = foundry.server.settings.github_web_url
    httpx.post(f"{at}/_devkit/faults", json={"seconds": 100, **wish}, trust_env=False).raise_for_status()


@contextmanager
def frozen(foundry: Whole, task: dict[str, Any]) -> Iterator[None]:
    """All that runs in the task's sandbox under SIGSTOP."""
    folder = foundry.server.settings.data_dir / "sandboxes" / task["sandbox"]
    pids = processes.belonging(folder, None, None)
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextmanager
def held(monkeypatch: pytest.MonkeyPatch, name: str, step: str) -> Iterator[list[bool]]:
    """The first try of this step gets no answer: for what cannot be made to hang from outside. Gives what is empty
    once that try has begun."""
    first = [True]
    step_of = workflow.Flow._step

    async def _step(self: workflow.Flow, at: str, call: Any, *rest: Any) -> Any:
        async def hangs() -> Any:
            if (self._workflow.name, at) == (name, step) and first and len(rest) == 4:  # no ask, no read
                first.clear()
                await asyncio.Event().wait()
            return await call()

        return await step_of(self, at, hangs, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(workflow.Flow, "_step", _step)
        yield first


# provisioning


async def test_naming(home: Path) -> None:
    async with watched(home, "naming") as foundry:
        fault(foundry, path="tally/branches")
        task = await foundry.create("say Hello.")
        found = await late(foundry, task, "naming")
        assert found["overdue"]["actions"] == ["retry", "archive"]
        assert (await foundry.ask("POST", f"/api/tasks/{task}/retry", 202))["attempt"] == 2
        await well(foundry, task)


async def test_cloning_from_a_server_that_never_answers(home: Path) -> None:
    async with watched(home, "cloning") as foundry:
        fault(foundry, path="git")
        task = await foundry.create("say Hello.")
        await late(foundry, task, "cloning")
        await foundry.ask("POST", f"/api/tasks/{task}/retry", 202)
        await well(foundry, task)


@pytest.mark.parametrize(
    "step", ["creating sandbox", "starting sandbox-agent", "waiting for health", "installing agent"]
)
async def test_a_sandbox_that_does_not_come_up(home: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    with held(monkeypatch, "provision", step):
        async with watched(home, step) as foundry:
            task = await foundry.create("say Hello.")
            await late(foundry, task, step)
            await foundry.ask("POST", f"/api/tasks/{task}/retry", 202)
            await well(foundry, task)


async def test_restoring_a_checkpoint_into_a_new_task(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(monkeypatch, "provision", "restoring the work"):
        async with watched(home, "restoring the work") as foundry:
            first = await foundry.until(await foundry.create("append notes.txt Not committed."), saved)
            wish = {"task": first["id"], "id": (await foundry.checkpoints(first["id"]))[0]["id"]}
            task = await foundry.create("say Hello.", checkpoint=wish)
            await late(foundry, task, "restoring the work")
            await foundry.ask("POST", f"/api/tasks/{task}/retry", 202)
            await well(foundry, task)
            assert (foundry.box(await foundry.until(task, saved)) / "notes.txt").exists()


async def test_an_agent_that_does_not_come_up(home: Path) -> None:
    """First with the task; then with another session of it."""
    rows = ("creating session", "opening the agent")
    async with watched(home, *rows, agent_launchers={"mock": ["/bin/sh", "-c", SHY]}) as foundry:
        task = await foundry.create("say Hello.")
        found = await late(foundry, task, "creating session")
        go = foundry.server.settings.data_dir / "sandboxes" / found["sandbox"] / "home" / "go"
        go.touch()
        await foundry.ask("POST", f"/api/tasks/{task}/retry", 202)
        await well(foundry, task)
        go.unlink()
        second = (await foundry.ask("POST", f"/api/tasks/{task}/sessions", 201, prompt=script("say Two.")))["sessions"][
            1
        ]
        place = f"/api/sessions/{second['id']}"
        shown = await session_until(foundry, place, lambda s: s["overdue"])
        assert shown["overdue"]["what"] == "opening the agent"
        assert shown["overdue"]["actions"] == ["resume"]
        go.touch()
        await foundry.ask("POST", f"{place}/resume")
        shown = await session_until(foundry, place, lambda s: s["status"] == "idle")
        assert shown["overdue"] is None


# the task's other work


async def test_publishing(home: Path) -> None:
    async with watched(home, "publishing") as foundry:
        task = await foundry.create("append notes.txt One.", "commit One")
        await foundry.until(task, saved)
        fault(foundry, path="git")
        await foundry.ask("POST", f"/api/tasks/{task}/pull-request", 202)
        await late(foundry, task, "publishing")
        await foundry.ask("POST", f"/api/tasks/{task}/retry", 202)
        found = await foundry.until(task, lambda t: t["pull_request"] and not t["publishing"])
        assert found["overdue"] is None


async def test_getting_githubs_commits(home: Path) -> None:
    async with watched(home, "fetching from GitHub") as foundry:
        task = await foundry.create("append notes.txt One.", "commit One")
        await foundry.until(task, saved)
        fault(foundry, path="git")
        await foundry.ask("PUT", f"/api/tasks/{task}/upstream", 202)
        found = await late(foundry, task, "fetching from GitHub")
        assert found["overdue"]["actions"] == ["retry"]
        await foundry.ask("POST", f"/api/tasks/{task}/retry", 202)
        await foundry.until(task, lambda t: not t["fetching"] and t["overdue"] is None)


async def test_reading_the_work_tree(home: Path) -> None:
    async with watched(home, "reading the work tree") as foundry:
        task = await foundry.create("append notes.txt One.")
        before = await foundry.until(task, saved)
        with frozen(foundry, before):
            await foundry.ask("POST", f"/api/tasks/{task}/work", 202)
            await late(foundry, task, "reading the work tree")
        await foundry.ask("POST", f"/api/tasks/{task}/retry", 202)
        await foundry.until(task, lambda t: t["work"]["seen_at"] != before["work"]["seen_at"] and t["overdue"] is None)


async def test_saving_and_bringing_back(home: Path) -> None:
    async with watched(home, "saving a checkpoint", "restoring a checkpoint") as foundry:
        task = await foundry.create("append notes.txt One.")
        before = await foundry.until(task, saved)
        (foundry.box(before) / "more.txt").write_text("more")
        with frozen(foundry, before):
            await foundry.ask("POST", f"/api/tasks/{task}/checkpoints", 202)
            await late(foundry, task, "saving a checkpoint")
        await foundry.ask("POST", f"/api/tasks/{task}/retry", 202)
        after = await foundry.until(task, lambda t: saved(t) and t["overdue"] is None and t["checkpoint"] == 2)
        with frozen(foundry, before):
            first = (await foundry.checkpoints(after["id"]))[1]
            place = f"/api/tasks/{task}/checkpoints/{first['id']}/restore"
            await foundry.ask("POST", place, 202)
            await late(foundry, task, "restoring a checkpoint")
        await foundry.ask("POST", f"/api/tasks/{task}/retry", 202)
        await foundry.until(task, lambda t: not t["restoring"] and t["overdue"] is None)
        assert not (foundry.box(before) / "more.txt").exists()


async def test_giving_the_sandbox_back(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(monkeypatch, "release", "stopping sandbox"):
        async with watched(home, "releasing the sandbox") as foundry:
            task = await foundry.create("say Hello.")
            before = await foundry.until(task, saved)
            await foundry.ask("POST", f"/api/tasks/{task}/archive")
            found = await late(foundry, task, "releasing the sandbox")
            assert found["overdue"]["actions"] == ["retry", "discard"]
            await foundry.ask("POST", f"/api/tasks/{task}/release", 202, discard=True)
            await foundry.until(task, lambda t: t["overdue"] is None and not foundry.box(before).exists())


# a session


async def session_late(foundry: Whole, task: str, what: str) -> tuple[str, dict[str, Any]]:
    found = await late(foundry, task, what)
    place = f"/api/sessions/{found['active_session']}"
    shown = (await foundry.ask("GET", place))["session"]
    assert shown["overdue"] == found["overdue"]
    return place, shown


async def test_a_message_that_does_not_get_to_the_agent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop ends it, and the agent is started anew, as it may have the message after all."""
    with held(monkeypatch, "prompt", "sending the prompt"):
        async with watched(home, "sending the message", "stopping") as foundry:
            task = await foundry.create("say Hello.")
            place, shown = await session_late(foundry, task, "sending the message")
            assert shown["overdue"]["actions"] == ["stop"]
            await foundry.ask("POST", f"{place}/stop")
            await well(foundry, task)


async def test_an_agent_that_says_nothing_is_stopped(home: Path) -> None:
    async with watched(home, "agent silent") as foundry:
        task = await foundry.create("say Hello.", "sleep 60")
        place, shown = await session_late(foundry, task, "agent silent")
        assert shown["overdue"]["actions"] == ["stop", "resume"]
        await foundry.ask("POST", f"{place}/stop")
        await well(foundry, task)


async def test_an_agent_that_hears_nothing_is_started_anew(home: Path) -> None:
    async with watched(home, "agent silent") as foundry:
        task = await foundry.create("say Hello.", "hang")
        place, _ = await session_late(foundry, task, "agent silent")
        await foundry.ask("POST", f"{place}/resume")
        found = await well(foundry, task)
        shown = await foundry.ask("GET", f"/api/sessions/{found['active_session']}")
        assert [message["state"] for message in shown["session"]["messages"]] == ["unknown"], (
            "it may have been carried out"
        )


async def test_a_permission_that_nobody_answers(home: Path) -> None:
    async with watched(home, "permission unanswered") as foundry:
        task = await foundry.create("ask May I", "say Thank you.")
        place, shown = await session_late(foundry, task, "permission unanswered")
        assert shown["overdue"]["actions"] == ["answer", "stop"]
        request = shown["permissions"][0]
        await foundry.ask("POST", f"{place}/permissions/{request['id']}", option=request["options"][0]["id"])
        await well(foundry, task)


async def test_an_answer_that_does_not_get_through(home: Path) -> None:
    async with watched(home, "answer under way") as foundry:
        task = await foundry.create("ask May I", "say Thank you.")
        found = await foundry.until(task, lambda t: t["activity"] == "running")
        place = f"/api/sessions/{found['active_session']}"
        shown = await session_until(foundry, place, lambda s: s["permissions"])
        request = shown["permissions"][0]
        with frozen(foundry, found):
            await foundry.ask("POST", f"{place}/permissions/{request['id']}", option=request["options"][0]["id"])
            await session_late(foundry, task, "answer under way")
        await well(foundry, task)


# a turn's end that the agent does not tell


async def test_a_turn_that_ends_without_an_answer_is_over_when_all_is_quiet(home: Path) -> None:
    async with watched(home, "agent quiet") as foundry:
        task = await foundry.create("say That is all.", "silent")
        found = await well(foundry, task)
        shown = await foundry.ask("GET", f"/api/sessions/{found['active_session']}")
        assert [e["text"] for e in shown["transcript"] if e["kind"] == "stop"] == ["quiet"]
        await foundry.turn(task, "append notes.txt After.")
        assert (foundry.box(found) / "notes.txt").exists()


async def test_an_agent_whose_tool_runs_is_not_ended_however_quiet_it_is(home: Path) -> None:
    async with watched(home, "agent quiet") as foundry:
        task = await foundry.create("say Now I build.", "run sleep 9", "append notes.txt Built.")
        found = await well(foundry, task)
        assert (foundry.box(found) / "notes.txt").exists()
        shown = await foundry.ask("GET", f"/api/sessions/{found['active_session']}")
        assert [e["text"] for e in shown["transcript"] if e["kind"] == "stop"] == ["end_turn"]
