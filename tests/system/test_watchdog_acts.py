"""The rest of the watchdog's table: work between two places, and what Foundry does by itself when the time is over."""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from foundry.actors.session_status_sync.times import StreamTimes
from foundry.contracts.time_limits import TABLE
from foundry.sandboxes.local import processes
from tests.harness.life import folder, said
from tests.system import test_watchdog
from tests.system.test_watchdog import fault, held, home, late, session_late, watched  # noqa: F401
from tests.system.whole import Whole, saved, script, whole
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.mark.long
async def test_renaming_the_branch(home: Path) -> None:  # noqa: F811
    async with watched(home, "renaming the branch") as foundry:
        task = await foundry.create("append notes.txt One.", "commit One")
        await foundry.until(task, saved)
        await foundry.ask("POST", f"/api/tasks/{task}/pull-request", 202)
        await foundry.until(task, lambda t: t["pull_request"] and not t["publishing"])
        fault(foundry, path="rename", method="POST")
        await foundry.ask("PUT", f"/api/tasks/{task}/branch", 202, name="another/name")
        found = await late(foundry, task, "renaming the branch")
        assert found["overdue"]["actions"] == ["retry"]
        await foundry.ask("POST", f"/api/tasks/{task}/retry", 202)
        after = await foundry.until(task, lambda t: not t["rename"] and t["overdue"] is None)
        assert after["branch"] == "another/name"


async def test_stopping_the_sandbox_that_nobody_uses(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    with held(monkeypatch, "idle_stop", "stopping sandbox"):
        async with watched(home, "stopping the sandbox") as foundry:
            task = await foundry.create("say Hello.")
            await foundry.until(task, saved)
            await foundry.ask("POST", f"/api/tasks/{task}/idle-stop", 202)
            found = await late(foundry, task, "stopping the sandbox")
            assert found["overdue"]["actions"] == ["retry"]
            await foundry.ask("POST", f"/api/tasks/{task}/retry", 202)
            await foundry.until(task, lambda t: t["sandbox_stopped"] and t["overdue"] is None)
            await foundry.see(f"/api/sandboxes/{found['sandbox']}", lambda s: s["state"] == "stopped")


async def test_a_message_that_may_have_been_sent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Foundry ends before it knows whether the agent has it. It is not sent again by itself, but by a person."""
    soon = {"prompt unknown": 1.0}
    with held(monkeypatch, "prompt", "sending the prompt") as waits:
        async with whole(home, watchdog=soon) as foundry:
            task = await foundry.create("say Hello.")
            found = await foundry.until(task, lambda t: t["activity"] == "running")
            place = f"/api/sessions/{found['active_session']}"
            await foundry.see(place, lambda s: any(m["state"] == "sending" for m in s["session"]["messages"]))
            await eventually(lambda: not waits)  # it hangs there, and not only in the next life
        async with whole(home, watchdog=soon) as foundry:
            shown = (await foundry.see(place, lambda s: s["session"]["failure"]))["session"]
            assert (shown["failure"]["code"], shown["failure"]["actions"]) == ("prompt_unknown", ["resend"])
            (message,) = shown["messages"]
            assert message["state"] == "unknown"
            await foundry.ask("POST", f"{place}/messages/{message['id']}/resend")
            await foundry.see(place, lambda s: said(s, "Hello.") and s["session"]["failure"] is None)


async def test_a_sandbox_that_does_not_answer_is_started_again(home: Path) -> None:  # noqa: F811
    """sandbox-agent dies while nothing runs: it is said after a while, then it is started again with its agent."""
    async with whole(home, watchdog={"sandbox unreachable": 3.0}, streams=StreamTimes(lost_after=1.0)) as foundry:
        task = await foundry.create("say Hello.")
        found = await foundry.until(task, saved)
        await foundry.see("/api/app/inspect", lambda held: not held["workflows"])  # they would start it again at once
        place = f"/api/sessions/{found['active_session']}"
        foundry.doors.agents._stopped = None  # the provider does not say that it is stopped
        kill_server(foundry, found)
        shown = (await foundry.see(place, lambda s: s["session"]["failure"]))["session"]
        assert (shown["failure"]["code"], shown["failure"]["actions"]) == ("sandbox_unreachable", ["resume"])
        await foundry.see(place, lambda s: s["session"]["status"] == "idle" and s["session"]["failure"] is None)
        await foundry.ask("POST", f"{place}/messages", 201, text=script("say Here I am again."))
        await foundry.see(place, lambda s: said(s, "Here I am again."))


@pytest.mark.long
async def test_an_agent_that_does_not_stop_when_asked_is_ended_and_started_again(home: Path) -> None:  # noqa: F811
    async with watched(home, "stopping") as foundry:
        task = await foundry.create("say Hello.", "hang")
        found = await foundry.until(task, lambda t: t["activity"] == "running")
        place = f"/api/sessions/{found['active_session']}"
        await foundry.see(place, lambda s: said(s, "Hello."))
        await foundry.ask("POST", f"{place}/stop")
        shown = await foundry.see(place, lambda s: s["session"]["status"] == "idle")
        assert any("did not stop when asked" in entry["text"] for entry in shown["transcript"])
        await foundry.turn(task, "append notes.txt After.")


def test_every_row_is_made_to_hang_by_some_test() -> None:
    told = inspect.getsource(test_watchdog) + Path(__file__).read_text()
    assert [what for what in TABLE if f'"{what}"' not in told] == []


def kill_server(foundry: Whole, task: dict[str, Any]) -> None:
    """sandbox-agent and all that it runs, at once: none of them can say that another one is gone."""
    pids = processes.belonging(folder(foundry.server.settings.data_dir, task["sandbox"]), None, None)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # bubblewrap takes its children with it
                os.kill(pid, number)
