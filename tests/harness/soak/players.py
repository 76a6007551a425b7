"""The people of a soak: each opens tasks, talks to agents, answers, stops, publishes, renames, restores, archives."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import httpx2 as httpx

from tests.harness.life import REPOSITORY, script
from tests.harness.person import ORGANIZATION, Person, Refused
from tests.harness.soak.book import Book, Opened, Said

OPEN = 2  # tasks that one player keeps open at once, more or less
PAUSE = (0.1, 1.2)  # seconds between two things that a player does
EXPECTED = {  # what may be answered to somebody who asks at a bad moment
    "wrong_state", "branch_taken", "nothing_to_publish", "session_closed", "not_found", "no_sandbox", "not_ready",
    "nothing_to_save", "busy",
}  # fmt: skip
AT_REST = {  # how often what is done with a task whose agent has ended
    "say": 50, "publish": 8, "rename": 8, "restore": 6, "save": 3, "begin from": 4, "merge": 8, "archive": 6,
    "look": 3, "rest": 5, "log": 1, "open": 3,
}  # fmt: skip
Task = dict[str, Any]


class Player:
    """What it does next depends on its own random numbers and on what it sees."""

    def __init__(self, name: str, seed: str, person: Person, book: Book, hub: Any) -> None:
        self.name, self.person, self.book = name, person, book
        self.random = random.Random(f"{seed}/{name}")
        self._hub = hub
        self._markers = 0

    async def play(self, over: asyncio.Event) -> None:
        """Until it is over; what was begun is ended, so that the book has all that was accepted."""
        while not over.is_set():
            await self.act()
            await asyncio.sleep(self.random.uniform(*PAUSE))

    async def act(self) -> None:
        """One thing."""
        mine = [t for t in self.book.tasks.values() if t.owner == self.name and not t.archived]
        if len(mine) < OPEN or (len(mine) < OPEN + 1 and self.random.random() < 0.05):
            await self.open_task()
            return
        opened = self.random.choice(mine)
        task = await self.person.request("GET", f"/api/tasks/{opened.id}")
        if task["state"] == "archived":
            opened.archived = True
            return
        session = None
        if task["active_session"]:
            try:
                session = await self.person.request("GET", f"/api/sessions/{task['active_session']}")
            except Refused as refusal:  # its row comes with the task's first message
                self._note(refusal, "look")
        await self.next(opened, task, session)

    async def next(self, opened: Opened, task: Task, session: Task | None) -> None:
        way_on = offered(task, session)
        if way_on and self.random.random() < 0.5:
            await self.take(opened, task, session, self.random.choice(way_on))
            return
        if session is None or task["state"] != "ready":
            if self.random.random() < 0.04:
                await self.archive(opened, kill=True)
            return
        view = session["session"]
        waiting = [p for p in view["permissions"] if p["state"] == "waiting"]
        if waiting and self.random.random() < 0.6:
            await self.answer(view, waiting[0])
        elif view["status"] == "running":
            choice = self.random.choices(("wait", "say", "stop", "archive"), (60, 25, 12, 1))[0]
            await self._do(choice, opened, task, view)
        else:
            chosen = self.random.choices(tuple(AT_REST), tuple(AT_REST.values()))[0]
            await self._do(chosen, opened, task, view)

    async def _do(self, what: str, opened: Opened, task: Task, view: Task) -> None:
        place = f"/api/tasks/{opened.id}"
        match what:
            case "say":
                await self.say(opened, view["id"])
            case "stop":
                await self.ask("stop", "POST", f"/api/sessions/{view['id']}/stop")
            case "publish":
                await self.ask(what, "POST", f"{place}/pull-request")
            case "rename":
                await self.ask(what, "PUT", f"{place}/branch", {"name": f"renamed/{self.marker().lower()}"})
            case "restore":
                await self.restore(opened, task)
            case "save":
                await self.ask(what, "POST", f"{place}/checkpoints")
            case "rest":
                await self.ask(what, "POST", f"{place}/idle-stop")
            case "begin from":
                if listed := await self.checkpoints(opened):
                    await self.open_task(checkpoint={"task": opened.id, "id": listed[0]["id"]})
            case "merge":
                await self.merge(task)
            case "archive":
                await self.archive(opened, kill=self.random.random() < 0.2, discard=self.random.random() < 0.1)
            case "look":
                await self.ask(what, "POST", f"{place}/work")
            case "log":
                await self.ask(what, "POST", f"/api/sandboxes/{task['sandbox']}/log")
            case "open":
                await self.open_session(opened, task)
            case _:
                pass

    # what they do

    def marker(self) -> str:
        self._markers += 1
        return f"{self.name}-{self._markers}"

    def script(self, marker: str) -> str:
        """Always a file and a word of its own; then something that may go wrong."""
        number = self.random.randint(30, 400)
        body = {
            "commit": (f"commit {marker}",),
            "dirty": (),
            "stream": (f"stream {number} 5 40", f"commit {marker}"),
            "sleep": (f"sleep {self.random.uniform(0.5, 3):.1f}", f"say {marker} woke."),
            "ask": (f"ask May I {marker}", f"commit {marker}", f"say {marker} went on."),
            "run": ("run git status --short", f"commit {marker}"),
            "fail": (f"fail {marker} is refused",),
            "crash": ("crash",),
            "silent": ("silent",),
        }
        kind = self.random.choices(tuple(body), (24, 14, 24, 12, 12, 8, 2, 2, 2))[0]
        return script(f"edit soak/{marker}.txt <<EOF", marker, "EOF", f"say {marker} heard.", *body[kind])

    async def open_task(self, **wish: Any) -> None:
        marker = self.marker()
        path = f"/api/organizations/{ORGANIZATION}/tasks"
        auto = self.random.random() < 0.3
        body = {"repository": REPOSITORY, "prompt": self.script(marker), "title": marker, "auto_publish": auto, **wish}
        made = await self.ask("create", "POST", path, body)
        if made:
            opened = self.book.tasks[made["id"]] = Opened(made["id"], marker, self.name)
            opened.said.append(Said(marker, made["sessions"][0]["id"]))

    async def say(self, opened: Opened, session: str) -> None:
        marker = self.marker()
        known = await self.ask("say", "POST", f"/api/sessions/{session}/messages", {"text": self.script(marker)})
        if known:
            opened.said.append(Said(marker, session))
        else:
            self.book.never.append(marker)

    async def open_session(self, opened: Opened, task: Task) -> None:
        marker = self.marker()
        made = await self.ask("open", "POST", f"/api/tasks/{opened.id}/sessions", {"prompt": self.script(marker)})
        if made:
            known = {one["id"] for one in task["sessions"]}
            (new,) = [one["id"] for one in made["sessions"] if one["id"] not in known]
            opened.said.append(Said(marker, new))
        else:
            self.book.never.append(marker)

    async def answer(self, view: Task, asked: Task) -> None:
        option = self.random.choice(asked["options"])["id"]
        await self.ask("answer", "POST", f"/api/sessions/{view['id']}/permissions/{asked['id']}", {"option": option})

    async def checkpoints(self, opened: Opened) -> list[Any]:
        """The latest first."""
        return await self.person.request("GET", f"/api/tasks/{opened.id}/checkpoints")

    async def restore(self, opened: Opened, task: Task) -> None:
        listed = await self.checkpoints(opened)
        if not listed:
            return
        chosen = self.random.choice(listed)
        for said in opened.said:  # before the question: it may be accepted and its answer seen late
            said.before_restore = True
        await self.ask("restore", "POST", f"/api/tasks/{opened.id}/checkpoints/{chosen['id']}/restore")

    async def merge(self, task: Task) -> None:
        """On GitHub's own page, which tells Foundry by a webhook."""
        pull = task["pull_request"]
        if not pull or pull["state"] != "open":
            return
        cookies = {"devkit_login": "ada"}
        try:
            async with httpx.AsyncClient(base_url=self._hub.at.url, cookies=cookies, trust_env=False) as http:
                await http.post(f"/{REPOSITORY}/pull/{pull['number']}/merge", timeout=10)
        except httpx.TransportError:
            return  # GitHub is down; so be it
        self.book.commands["merge"] += 1

    async def archive(self, opened: Opened, *, kill: bool = False, discard: bool = False) -> None:
        opened.discarded = opened.discarded or discard
        body = {"kill": kill, "discard": discard}
        if await self.ask("archive", "POST", f"/api/tasks/{opened.id}/archive", body):
            opened.archived = True

    async def take(self, opened: Opened, task: Task, session: Task | None, way: str) -> None:
        """One of the ways on that Foundry offers."""
        place = f"/api/tasks/{opened.id}"
        view = session["session"] if session else None
        match way:
            case "retry":
                await self.ask(way, "POST", f"{place}/{'release' if task['state'] == 'archived' else 'retry'}")
            case "save":
                await self.ask(way, "POST", f"{place}/checkpoints")
            case "give up":
                await self.ask(way, "DELETE", f"{place}/branch/rename")
            case "resume" | "stop" if view:
                await self.ask(way, "POST", f"/api/sessions/{view['id']}/{way}")
            case "resend" if view:
                for message in view["messages"]:
                    if message["state"] in ("unknown", "failed"):
                        await self.resend(opened, view, message)
            case "answer" if view:
                for asked in view["permissions"]:
                    if asked["state"] == "waiting":
                        await self.answer(view, asked)
            case _:
                pass

    async def resend(self, opened: Opened, view: Task, message: Task) -> None:
        """Send again, or dismiss: at last what crashed the agent twice would do so a third time."""
        (said,) = [s for s in opened.said if s.marker == marker_of(message["text"])]
        path = f"/api/sessions/{view['id']}/messages/{message['id']}"
        if said.resent == 0 and self.random.random() < 0.7:
            said.resent += 1  # before the question: an answer may be lost
            await self.ask("resend", "POST", f"{path}/resend")
        elif await self.ask("withdraw", "DELETE", path):
            said.withdrawn = True

    async def ask(self, what: str, method: str, path: str, body: Any = None) -> Any:
        """The answer, {} if it has none; None if Foundry refused, which is noted."""
        try:
            answer = await self.person.request(method, path, body)
        except Refused as refusal:
            self._note(refusal, what)
            return None
        self.book.commands[what] += 1
        return answer or {"": ""}

    def _note(self, refusal: Refused, what: str) -> None:
        code = str(refusal.problem.get("code"))
        self.book.refused[code] += 1
        if refusal.status >= 500 or code not in EXPECTED:
            self.book.wrong.append(f"{what} was answered with {refusal}")


def marker_of(text: str) -> str:
    """Of a prompt: the name of the file that its script writes."""
    return text.rpartition("edit soak/")[2].partition(".txt")[0]


def offered(task: Task, session: Task | None) -> list[str]:
    """The ways on that Foundry names, of task and session."""
    ways: list[str] = []
    for place in (task, session["session"] if session else None):
        if place and place["overdue"]:
            ways += place["overdue"]["actions"]
    if task["state"] == "failed" or (task["rename"] and task["rename"]["failure"]):
        ways.append("retry")
    if task["rename"] and task["rename"]["failure"]:
        ways.append("give up")
    if task["state"] == "archived" and task["retained"]:
        ways.append("retry")
    if task["checkpoint_failure"]:
        ways.append("save")
    if session and session["session"]["failure"]:
        ways += session["session"]["failure"]["actions"]
    if session and any(m["state"] in ("unknown", "failed") for m in session["session"]["messages"]):
        ways.append("resend")
    return [way for way in ways if way not in ("archive", "discard")]
