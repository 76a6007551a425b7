"""Every step of every workflow fails for good: what it was for says why, the issue is recorded, and there is a way on.

A workflow's row in CASES says how it is brought about, where its failure is shown, and what a person does then.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from foundry.app import house
from foundry.devkit.github import GitHubAt
from foundry.runtime.workflow.flow import Workflow
from tests.harness.life import (
    ORGANIZATION,
    Life,
    folder,
    kill_agent,
    push_as_another,
    remove_sandbox,
    said,
    saved,
    script,
    unknown,
    waiting,
)
from tests.harness.stage import stage
from tests.harness.traps import Traps, sprung
from tests.system.whole import whole

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

WORKFLOWS: dict[str, Workflow] = house().workflows.by_name
QUIET = {"agent quiet": 1.0, "stopping": 60.0}  # seconds


@pytest.fixture
def home(tmp_path: Path, sandbox_agent_cache: Path) -> Iterator[Path]:
    with stage(tmp_path, sandbox_agent_cache) as ready:
        yield ready


class Story(Life):
    """One task, and what is done with it again and again."""

    traps: Traps
    task = ""
    pushes = 0

    async def ready(self) -> str:
        """A task whose agent has worked and rests."""
        if not self.task:
            self.task = await self.create("append notes.txt First.", "commit One")
            await self.until(self.task, saved)
        return self.task

    async def session(self, task: str) -> str:
        """The path of the task's newest session."""
        found = await self.until(task, lambda t: t["sessions"])
        return f"/api/sessions/{found['sessions'][-1]['id']}"

    async def shown(self) -> dict[str, Any]:
        return (await self.foundry.ask("GET", await self.session(self.task)))["session"]

    async def session_is(self, holds: Callable[[dict[str, Any]], object]) -> None:
        place = await self.session(self.task)
        await self.foundry.see(place, lambda s: holds(s["session"]))

    async def post(self, path: str, status: int = 202, **body: Any) -> None:
        await self.foundry.ask("POST", path, status, **body)

    # how each is brought about

    async def begin(self) -> None:
        self.task = await self.create("say Hello.")

    async def begin_from_a_checkpoint(self) -> None:
        found = await self.until(await self.ready(), saved)
        begin = {"task": found["id"], "id": (await self.checkpoints(found["id"]))[0]["id"]}
        self.task = await self.create("say Hello.", checkpoint=begin)

    async def begin_another_session(self) -> None:
        """Its agent is installed by itself, not by provisioning."""
        self.task = ""
        await self.post(f"/api/tasks/{await self.ready()}/sessions", 201, prompt=script("say Two."))

    async def lose_the_sandbox(self) -> None:
        """Of a new task: one that is lost again and again is not recovered a fourth time."""
        self.task = ""
        found = await self.until(await self.ready(), saved)
        remove_sandbox(self.data, found["sandbox"])
        await self.post(f"/api/tasks/{self.task}/checkpoints")

    async def checkpoints(self, task: str) -> list[dict[str, Any]]:
        return await self.foundry.ask("GET", f"/api/tasks/{task}/checkpoints")

    async def talk(self) -> None:
        await self.ready()
        await self.say(self.task, "say Words.")

    async def talk_to_one_that_forgot(self) -> None:
        sandbox = (await self.until(await self.ready(), saved))["sandbox"]
        shutil.rmtree(folder(self.data, sandbox) / "home" / ".scripted-agent")
        await self.lose_agent()

    async def lose_another_agent(self) -> None:
        """Of a new task: an agent that is gone again right after it came back is not started a third time."""
        self.task = ""
        await self.lose_agent()

    async def lose_agent(self) -> None:
        found = await self.until(await self.ready(), saved)
        kill_agent(self.data, found["sandbox"])
        place = await self.say(self.task, "say Words.")
        seen = await self.foundry.see(place, lambda s: s["session"]["failure"] or unknown(s["session"]))
        for message in unknown(seen["session"]):
            await self.post(f"{place}/messages/{message['id']}/resend", 200)

    async def ask_and_answer(self) -> None:
        await self.ready()
        await self.answer(await self.say(self.task, "ask May I", "say Thank you."))

    async def tell_to_stop(self) -> None:
        await self.ready()
        place = await self.say(self.task, "ask May I")
        await self.foundry.see(place, lambda s: waiting(s["session"]))
        await self.post(f"{place}/stop", 200)

    async def say_nothing(self) -> None:
        await self.ready()
        await self.say(self.task, "say That is all.", "silent")

    async def publish(self) -> None:
        await self.post(f"/api/tasks/{await self.ready()}/pull-request")

    async def save(self) -> None:
        found = await self.until(await self.ready(), saved)
        with (self.box(found) / "notes.txt").open("a") as file:
            file.write("More.\n")
        await self.post(f"/api/tasks/{self.task}/checkpoints")

    async def restore(self) -> None:
        found = await self.until(await self.ready(), saved)
        listed = await self.checkpoints(found["id"])
        first = listed[-1]["id"]
        (self.box(found) / "notes.txt").write_text(f"{len(listed)} other words\n")
        await self.post(f"/api/tasks/{self.task}/checkpoints/{first}/restore")

    async def archive(self) -> None:
        self.task = ""
        await self.post(f"/api/tasks/{await self.ready()}/archive", 200)

    async def look(self) -> None:
        await self.post(f"/api/tasks/{await self.ready()}/work")

    async def rename(self) -> None:
        found = await self.until(await self.ready(), saved)
        if not found["pull_request"]:
            await self.is_published(self.task)
        now = (await self.until(self.task, saved))["branch"]
        await self.foundry.ask("PUT", f"/api/tasks/{self.task}/branch", 202, name=f"{now}-x")

    async def be_overtaken(self) -> None:
        """Somebody else pushes to the branch, and it is to be got."""
        found = await self.until(await self.ready(), saved)
        if not found["pull_request"]:
            await self.is_published(self.task)
        self.pushes += 1
        await asyncio.to_thread(push_as_another, self.hub, found["branch"], f"theirs-{self.pushes}.txt")
        await self.foundry.ask("PUT", f"/api/tasks/{self.task}/upstream", 202)

    async def read_log(self) -> None:
        found = await self.until(await self.ready(), saved)
        await self.post(f"/api/sandboxes/{found['sandbox']}/log")

    async def close_a_pull_request_unseen(self) -> None:
        """A rename does; no webhook is delivered here."""
        await self.is_published(await self.ready())
        await self.is_renamed(self.task)
        broken, self.traps.broken = self.traps.broken, set()
        await self.is_renamed(self.task, "third/name")
        self.traps.broken = broken
        await self.github_is_read()

    # what is shown

    async def task_failed(self) -> None:
        await self.until(self.task, lambda t: t["state"] == "failed" and told(t["failure"]))

    async def failed_session(self) -> None:
        await self.session_is(lambda s: told(s["failure"]) and not s["failure"]["retry_at"])

    async def resume_offered(self) -> None:
        await self.session_is(lambda s: told(s["failure"]) and "resume" in s["failure"]["actions"])

    async def publishing_failed(self) -> None:
        await self.until(self.task, lambda t: not t["publishing"] and told(t["failure"]))

    async def saving_failed(self) -> None:
        await self.until(self.task, lambda t: not t["saving"] and told(t["checkpoint_failure"]))

    async def noted(self) -> None:
        await self.until(self.task, lambda t: "made to fail" in t["note"])

    async def kept(self) -> None:
        await self.until(self.task, lambda t: "made to fail" in t["retained"])

    async def rename_failed(self) -> None:
        await self.until(
            self.task,
            lambda t: (
                not t["renaming"] and (told(t["rename"]["failure"]) if t["rename"] else "made to fail" in t["note"])
            ),
        )

    async def in_the_log(self) -> None:
        found = await self.until(self.task, lambda t: True)
        await self.foundry.see(f"/api/sandboxes/{found['sandbox']}/log", lambda s: "made to fail" in s["log"])

    async def nothing_else(self) -> None:
        """The issue says it all."""

    # the way on

    async def retry(self) -> None:
        await self.post(f"/api/tasks/{self.task}/retry")
        await self.until(self.task, saved)

    async def resume(self) -> None:
        await self.post(f"{await self.session(self.task)}/resume", 200)
        await self.until(self.task, lambda t: saved(t) and not t["sessions"][-1]["failure"])

    async def send_again(self) -> None:
        """What may have been sent is there already, or a person resends it."""
        place = await self.session(self.task)
        await self.session_is(lambda s: all(m["state"] != "sending" for m in s["messages"]))  # the issue comes first
        for message in (await self.shown())["messages"]:
            if message["state"] == "unknown":
                await self.post(f"{place}/messages/{message['id']}/resend", 200)
        await self.foundry.see(place, lambda s: said(s, "Words.") and not s["session"]["messages"])
        await self.until(self.task, saved)

    async def answer_again(self) -> None:
        place = await self.session(self.task)
        if waiting(await self.shown()):
            await self.answer(place)
        await self.until(self.task, saved)

    async def stop_again(self) -> None:
        answer = await self.foundry.http.post(f"{await self.session(self.task)}/stop")
        if answer.status_code != 200:  # it has just ended by itself
            assert (answer.status_code, answer.json()["code"]) == (409, "wrong_state")
            assert (await self.shown())["status"] == "idle"
        await self.until(self.task, lambda t: saved(t) and not t["sessions"][0]["failure"])

    async def rests_by_itself(self) -> None:
        await self.until(self.task, lambda t: saved(t) and not t["sessions"][0]["failure"])

    async def publish_again(self) -> None:
        await self.publish()
        await self.until(self.task, lambda t: t["pull_request"] and not t["publishing"] and not t["failure"])

    async def save_again(self) -> None:
        await self.post(f"/api/tasks/{self.task}/checkpoints")
        await self.until(self.task, lambda t: saved(t) and not t["checkpoint_failure"])

    async def restore_again(self) -> None:
        await self.restore()
        await self.until(self.task, lambda t: not t["restoring"] and "made to fail" not in t["note"])

    async def release_again(self) -> None:
        found = await self.until(self.task, lambda t: True)
        await self.post(f"/api/tasks/{found['id']}/release")
        await self.is_gone()

    async def is_gone(self) -> None:
        found = await self.until(self.task, lambda t: True)
        await self.foundry.see(f"/api/sandboxes/{found['sandbox']}", lambda s: s["state"] == "deleted")

    async def rest(self) -> None:
        await self.let_rest(self.task)

    async def rest_again(self) -> None:
        await self.rests_until_needed(self.task)

    async def look_again(self) -> None:
        await self.looks_again(self.task)

    async def rename_again(self) -> None:
        found = await self.until(self.task, lambda t: True)
        name = found["rename"]["new"] if found["rename"] else f"{found['branch']}-x"
        await self.foundry.ask("PUT", f"/api/tasks/{self.task}/branch", 202, name=name)
        await self.until(self.task, lambda t: not t["rename"] and t["branch"] == name)

    async def fetch_again(self) -> None:
        await self.foundry.ask("PUT", f"/api/tasks/{self.task}/upstream", 202)
        found = await self.until(self.task, lambda t: not t["fetching"] and "made to fail" not in t["note"])
        assert (self.box(found) / f"theirs-{self.pushes}.txt").exists()

    async def log_again(self) -> None:
        found = await self.until(self.task, lambda t: True)
        await self.read_log()
        await self.foundry.see(f"/api/sandboxes/{found['sandbox']}/log", lambda s: "made to fail" not in s["log"])

    async def github_again(self) -> None:
        """A later sync ends the issue of the one that failed."""
        await self.github_is_read()
        await self.installations_are_read()
        await self.foundry.see("/api/app/issues", lambda issues: not issues)
        await self.foundry.see(f"/api/organizations/{ORGANIZATION}/issues", lambda issues: not issues)


Deed = Callable[[Story], Awaitable[None]]


@dataclass(frozen=True)
class Case:
    bring_about: Deed
    shown: Deed
    way_on: Deed
    apart: tuple[str, ...] = ()  # steps that come only on another way, which `instead` goes
    instead: Deed | None = None


CASES: dict[str, Case] = {
    "provision": Case(
        Story.begin, Story.task_failed, Story.retry, ("restoring the work",), Story.begin_from_a_checkpoint
    ),
    "recovery": Case(Story.lose_the_sandbox, Story.task_failed, Story.retry),
    "open_session": Case(
        Story.begin, Story.resume_offered, Story.resume, ("installing agent",), Story.begin_another_session
    ),
    "prompt": Case(
        Story.talk, Story.nothing_else, Story.send_again, ("gathering context",), Story.talk_to_one_that_forgot
    ),
    "resume_session": Case(Story.lose_another_agent, Story.resume_offered, Story.resume),
    "close_server": Case(Story.archive, Story.nothing_else, Story.is_gone),
    "answer_permission": Case(Story.ask_and_answer, Story.nothing_else, Story.answer_again),
    "stop": Case(Story.tell_to_stop, Story.nothing_else, Story.stop_again),
    "look_at_agent": Case(Story.say_nothing, Story.nothing_else, Story.rests_by_itself),
    "publish": Case(Story.publish, Story.publishing_failed, Story.publish_again),
    "checkpoint": Case(Story.save, Story.saving_failed, Story.save_again),
    "restore": Case(Story.restore, Story.noted, Story.restore_again),
    "idle_stop": Case(Story.rest, Story.noted, Story.rest_again),
    "release": Case(Story.archive, Story.kept, Story.release_again),
    "git_status": Case(Story.look, Story.noted, Story.look_again),
    "rename": Case(Story.rename, Story.rename_failed, Story.rename_again),
    "fetch": Case(Story.be_overtaken, Story.noted, Story.fetch_again),
    "fetch_log": Case(Story.read_log, Story.in_the_log, Story.log_again),
    "sync_installations": Case(Story.installations_are_read, Story.nothing_else, Story.github_again),
    "sync_organization": Case(
        Story.github_is_read,
        Story.nothing_else,
        Story.github_again,
        ("asking for closed pull requests",),
        Story.close_a_pull_request_unseen,
    ),
}


SOONER = {"prompt"}  # one of them; the others in CI


def told(failure: dict[str, Any] | None) -> bool:
    """It says what went wrong and what to do, and nothing happens by itself any more."""
    return (
        failure is not None
        and "made to fail" in failure["message"]
        and bool(failure["remedy"])
        and not failure["retry_at"]
    )


@pytest.fixture
async def story(home: Path) -> AsyncIterator[Story]:
    traps = Traps()
    with sprung(traps):
        async with whole(home, watchdog=QUIET) as foundry:
            story = Story(foundry, home / "data", GitHubAt(home / "github"))
            story.traps = traps
            yield story


def test_every_workflow_has_its_row() -> None:
    assert sorted(CASES) == sorted(WORKFLOWS)


async def recorded(story: Story, name: str, step: str) -> None:
    """The failure is an issue, with what to do; a moment later its workflow has ended."""

    def there(issues: list[dict[str, Any]]) -> list[str]:
        found = [issue["failure"] for issue in issues]
        over = [t for t in found if t["kind"] == "workflow_failed" and t["remedy"]]
        return [t["workflow_id"] for t in over if (t["workflow"], t["step"]) == (name, step)]

    scope = "/api/app" if name == "sync_installations" else f"/api/organizations/{ORGANIZATION}"
    failed = there(await story.foundry.see(f"{scope}/issues", there))
    await story.foundry.see("/api/app/inspect", lambda held: not {w["id"] for w in held["workflows"]} & {*failed})


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in SOONER else pytest.mark.long) for n in sorted(CASES)]
)
async def test_failing_there_for_good_says_so_and_there_is_a_way_on(story: Story, name: str) -> None:
    case = CASES[name]
    if case.bring_about is not Story.begin:
        await story.ready()
    for step in WORKFLOWS[name].steps:
        story.traps.broken.add((name, step))
        bring_about = case.instead if step in case.apart and case.instead else case.bring_about
        await bring_about(story)
        await recorded(story, name, step)
        await case.shown(story)
        story.traps.broken.clear()
        await case.way_on(story)
