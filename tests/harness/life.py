"""The lives of two tasks, in which every workflow of Foundry has something to do. Whoever asks may be patient."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import httpx2 as httpx

from foundry.devkit.github import GitHubAt
from foundry.sandboxes.local import processes

ORGANIZATION = "2001"  # lumen-works
REPOSITORY = "lumen-works/tally"


class Asker(Protocol):
    """A person at the API: tests.harness.person.Person, tests.system.whole.Whole."""

    async def ask(self, method: str, path: str, expect: int = 200, **body: Any) -> Any: ...
    async def see(self, path: str, holds: Callable[[Any], object]) -> Any: ...
    async def deliver(self, body: bytes, headers: dict[str, str]) -> None: ...  # a webhook


def script(*lines: str) -> str:
    """A prompt that the scripted agent plays."""
    return "\n".join(("A change", "", "```script", *lines, "```"))


def saved(task: dict[str, Any]) -> bool:
    """Its agent has ended, and what it did is saved."""
    return task["activity"] == "idle" and task["checkpoint"] > 0 and not task["saving"]


def folder(data: Path, sandbox: str) -> Path:
    """Where the local provider keeps a sandbox."""
    return data / "sandboxes" / sandbox


def kill_agent(data: Path, sandbox: str) -> int:
    """Kill the scripted agents of a sandbox; gives how many."""
    killed = 0
    for pid in processes.belonging(folder(data, sandbox), None, None):
        try:
            if b"foundry.devkit.agent" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)
                killed += 1
        except (FileNotFoundError, ProcessLookupError):
            continue
    return killed


def remove_sandbox(data: Path, sandbox: str) -> None:
    """What a cleaning job or a lost disk does to a sandbox: its files go, and its processes with them."""
    place = folder(data, sandbox)
    for pid in processes.belonging(place, None, None):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    shutil.rmtree(place)


def push_as_another(hub: GitHubAt, branch: str, name: str, text: str = "Theirs.\n") -> str:
    """Somebody else commits a file on this branch and pushes it to GitHub; gives the commit."""
    url = hub.url.replace("://", f"://x-access-token:{hub.token()}@")
    with tempfile.TemporaryDirectory() as place:

        def git(*words: str) -> str:
            env = {"PATH": os.environ["PATH"], "HOME": place, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
            done = subprocess.run(["git", *words], cwd=place, env=env, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            return done.stdout.strip()

        git("clone", "-q", "--branch", branch, f"{url}/{REPOSITORY}.git", "clone")
        (Path(place) / "clone" / name).write_text(text)
        git("-C", "clone", "add", ".")
        git("-C", "clone", "-c", "user.name=Grace", "-c", "user.email=grace@example.test", "commit", "-qm", name)
        git("-C", "clone", "push", "-q", "origin", branch)
        return git("-C", "clone", "rev-parse", "HEAD")


class Life:
    """What a person does with a task, each until what should come of it has come."""

    def __init__(self, foundry: Asker, data: Path, hub: GitHubAt) -> None:
        self.foundry, self.data, self.hub = foundry, data, hub

    async def live(self) -> None:
        one = await self.works()
        await self.is_published(one)
        await self.is_followed(one)
        await self.is_renamed(one)
        await self.is_stopped(one)
        await self.falls_silent(one)
        await self.loses_its_agent(one)
        await self.loses_its_agent(one, forgets=True)
        await self.shows_its_log(one)
        await self.looks_again(one)
        await self.goes_back(one)
        await self.opens_another_session(one)
        await self.rests_until_needed(one)
        await self.loses_its_sandbox(one)
        two = await self.begins_from(one)
        await self.ends(one, discard=False)
        await self.ends(two, discard=True)

    # one thing each

    async def works(self) -> str:
        """Provisioned, prompted, its question answered, saved."""
        task = await self.create("append notes.txt First.", "ask Commit it", "commit One", "say Done.")
        place = await self.session(task)
        await self.answer(place)
        await self.until(task, saved)
        seen = await self.foundry.see(place, lambda s: True)
        assert [e["text"] for e in seen["transcript"] if e["kind"] == "agent"] == ["Done."], "said once, stored once"
        return task

    async def is_published(self, task: str) -> None:
        await self.foundry.ask("POST", f"/api/tasks/{task}/pull-request", 202)
        found = await self.until(task, lambda t: t["pull_request"] and not t["publishing"])
        await asyncio.to_thread(self._decorate, found["pull_request"]["number"])
        await self.github_is_read()
        await self.until(task, lambda t: t["github_pull_request"])

    def _decorate(self, number: int) -> None:
        """What a rename has to bring over to the replacement."""
        headers = {"Authorization": f"Bearer {self.hub.token()}"}
        with httpx.Client(base_url=f"{self.hub.api}/repos/{REPOSITORY}", headers=headers, trust_env=False) as http:
            http.post(f"issues/{number}/labels", json={"labels": ["bug"]}).raise_for_status()
            reviewers = {"reviewers": ["grace"]}
            http.post(f"pulls/{number}/requested_reviewers", json=reviewers).raise_for_status()

    async def is_renamed(self, task: str, name: str = "another/name") -> None:
        before = await self.until(task, lambda t: t["pull_request"])
        await self.foundry.ask("PUT", f"/api/tasks/{task}/branch", 202, name=name)
        after = await self.until(task, lambda t: not t["rename"])
        assert after["branch"] == name, after["note"]
        assert after["pull_request"]["number"] > before["pull_request"]["number"]
        await self.github_is_read()
        await self.until(task, lambda t: t["github_pull_request"])

    async def is_followed(self, task: str, name: str = "theirs.txt") -> None:
        """Somebody else pushes to its branch on GitHub; a person gets that into the sandbox."""
        found = await self.until(task, saved)
        head = await asyncio.to_thread(push_as_another, self.hub, found["branch"], name)
        await self.foundry.ask("PUT", f"/api/tasks/{task}/upstream", 202)
        after = await self.until(task, lambda t: t["work"]["head"] == head and not t["fetching"])
        assert after["upstream"]["state"] == "even"

    async def is_stopped(self, task: str) -> None:
        place = await self.say(task, "ask May I")
        await self.foundry.see(place, lambda s: waiting(s["session"]))
        await self.foundry.ask("POST", f"{place}/stop")
        await self.rests(task)

    async def falls_silent(self, task: str) -> None:
        """Looked into by the watchdog, if that is told not to wait long."""
        place = await self.say(task, "say That is all.", "silent")
        await self.foundry.see(place, lambda s: s["session"]["status"] == "running")
        await self.rests(task)

    async def loses_its_agent(self, task: str, *, forgets: bool = False) -> None:
        """The next message finds it gone, and gets a new one; if it was given to the dying one, it is sent again."""
        found = await self.until(task, saved)
        if forgets:
            shutil.rmtree(folder(self.data, found["sandbox"]) / "home" / ".scripted-agent")
        assert kill_agent(self.data, found["sandbox"])
        words = "I forgot everything." if forgets else "Here I am again."
        place = await self.say(task, f"say {words}")
        seen = await self.foundry.see(place, lambda s: said(s, words) or unknown(s["session"]))
        for message in unknown(seen["session"]):
            await self.foundry.ask("POST", f"{place}/messages/{message['id']}/resend")
        await self.foundry.see(place, lambda s: said(s, words))
        await self.rests(task)

    async def shows_its_log(self, task: str) -> None:
        sandbox = (await self.until(task, lambda t: True))["sandbox"]
        await self.foundry.ask("POST", f"/api/sandboxes/{sandbox}/log", 202)
        await self.foundry.see(f"/api/sandboxes/{sandbox}/log", lambda found: found["log"])

    async def looks_again(self, task: str) -> None:
        seen = (await self.until(task, lambda t: True))["work"]["seen_at"]
        await self.foundry.ask("POST", f"/api/tasks/{task}/work", 202)
        await self.until(task, lambda t: t["work"]["seen_at"] != seen)

    async def opens_another_session(self, task: str) -> None:
        """Its agent is installed by itself: no provisioning went before."""
        known = len((await self.until(task, saved))["sessions"])
        await self.foundry.ask("POST", f"/api/tasks/{task}/sessions", 201, prompt=script("say I am another one."))
        after = await self.until(
            task, lambda t: len(t["sessions"]) > known and t["active_session"] == t["sessions"][-1]["id"]
        )
        await self.foundry.see(f"/api/sessions/{after['active_session']}", lambda s: said(s, "I am another one."))
        await self.rests(task)

    async def goes_back(self, task: str) -> None:
        found = await self.until(task, saved)
        first = (await self.foundry.ask("GET", f"/api/tasks/{found['id']}/checkpoints"))[-1]
        await self.foundry.ask("POST", f"/api/tasks/{task}/checkpoints/{first['id']}/restore", 202)
        after = await self.until(task, lambda t: not t["restoring"])
        assert f"checkpoint {first['number']}" in after["note"]

    async def rests_until_needed(self, task: str) -> None:
        """Its sandbox is stopped; a message brings it back, and the agent knows the conversation."""
        await self.let_rest(task)
        found = await self.until(task, lambda t: t["sandbox_stopped"])
        await self.foundry.see(f"/api/sandboxes/{found['sandbox']}", lambda s: s["state"] == "stopped")
        words = f"I slept well, {found['work']['seen_at']}."  # other words each time, for who does this again and again
        place = await self.say(task, f"say {words}")
        await self.foundry.see(place, lambda s: said(s, words))
        await self.rests(task)

    async def loses_its_sandbox(self, task: str) -> None:
        """What is asked next finds it gone; another one has its work, and the agent goes on there."""
        before = await self.until(task, saved)
        remove_sandbox(self.data, before["sandbox"])
        await self.foundry.ask("POST", f"/api/tasks/{task}/checkpoints", 202)
        after = await self.until(task, lambda t: t["sandbox"] != before["sandbox"] and t["phase"] == "running")
        assert (self.box(after) / "notes.txt").read_text() == "First.\n"
        place = await self.say(task, "say I am somewhere else.")
        await self.foundry.see(place, lambda s: said(s, "I am somewhere else."))
        await self.rests(task)

    async def let_rest(self, task: str) -> None:
        """Refused until the last save has ended, which begins a moment after the agent's turn."""
        await self.until(task, saved)
        seen = (await self.until(task, lambda t: True))["work"]["seen_at"]
        await self.foundry.ask("POST", f"/api/tasks/{task}/checkpoints", 202)
        await self.until(task, lambda t: saved(t) and t["work"]["seen_at"] != seen)
        await self.foundry.ask("POST", f"/api/tasks/{task}/idle-stop", 202)

    async def begins_from(self, task: str) -> str:
        """A new task with the first one's work."""
        found = await self.until(task, saved)
        latest = (await self.foundry.ask("GET", f"/api/tasks/{found['id']}/checkpoints"))[0]
        begin = {"task": task, "id": latest["id"]}
        other = await self.create("append more.txt More.", checkpoint=begin)
        await self.until(other, saved)
        assert (self.box(await self.until(other, saved)) / "notes.txt").read_text() == "First.\n"
        return other

    async def ends(self, task: str, *, discard: bool) -> None:
        sandbox = (await self.until(task, lambda t: True))["sandbox"]
        await self.foundry.ask("POST", f"/api/tasks/{task}/archive", discard=discard)
        await self.foundry.see(f"/api/sandboxes/{sandbox}", lambda s: s["state"] == "deleted")
        assert not folder(self.data, sandbox).exists()

    # what those are made of

    async def github_is_read(self) -> None:
        """GitHub tells of the installation again, which makes Foundry read the organization."""
        account = {"id": int(ORGANIZATION), "login": REPOSITORY.partition("/")[0], "type": "Organization"}
        installation = {"id": 3001, "account": account}
        await self.deliver("installation", action="new_permissions_accepted", installation=installation)

    async def installations_are_read(self) -> None:
        """GitHub tells of something in an installation that Foundry has never heard of."""
        await self.deliver("push", installation={"id": 999_999})

    async def deliver(self, event: str, **payload: Any) -> None:
        """A webhook, signed as GitHub signs."""
        body = json.dumps(payload)
        digest = hmac.new(self.hub.identity["webhook_secret"].encode(), body.encode(), hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": str(uuid.uuid4()),
            "X-Hub-Signature-256": f"sha256={digest}",
        }
        await self.foundry.deliver(body.encode(), headers)

    async def create(self, *lines: str, **wish: Any) -> str:
        body = {"repository": REPOSITORY, "prompt": script(*lines), "auto_publish": False, **wish}
        return (await self.foundry.ask("POST", f"/api/organizations/{ORGANIZATION}/tasks", 201, **body))["id"]

    async def until(self, task: str, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        return await self.foundry.see(f"/api/tasks/{task}", holds)

    async def session(self, task: str) -> str:
        """The path of the task's active session."""
        found = await self.until(task, lambda t: t["active_session"])
        return f"/api/sessions/{found['active_session']}"

    async def say(self, task: str, *lines: str) -> str:
        """A message to the task's agent; gives the session's path."""
        place = await self.session(task)
        await self.foundry.ask("POST", f"{place}/messages", 201, text=script(*lines))
        return place

    async def answer(self, place: str) -> None:
        """Allow what the session's agent asks."""
        found = await self.foundry.see(place, lambda s: waiting(s["session"]))
        asked = waiting(found["session"])[0]
        path = f"{place}/permissions/{asked['id']}"
        await self.foundry.ask("POST", path, option=asked["options"][0]["id"])

    async def rests(self, task: str) -> None:
        await self.until(task, lambda t: saved(t) and not t["sessions"][0]["failure"])

    def box(self, task: dict[str, Any]) -> Path:
        return folder(self.data, task["sandbox"]) / "work" / "repo"


def waiting(session: dict[str, Any]) -> list[dict[str, Any]]:
    return [asked for asked in session["permissions"] if asked["state"] == "waiting"]


def unknown(session: dict[str, Any]) -> list[dict[str, Any]]:
    """Messages that may have been sent."""
    return [message for message in session["messages"] if message["state"] == "unknown"]


def said(snapshot: dict[str, Any], words: str) -> bool:
    return any(words in entry["text"] for entry in snapshot["transcript"] if entry["kind"] == "agent")
