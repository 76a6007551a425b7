"""The invariants: what must hold once everything is whole again and has come to rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.harness.person import ORGANIZATION, Person, Refused, brief
from tests.harness.soak.book import Book, Opened, Said
from tests.harness.soak.ground import Ground
from tests.harness.soak.players import marker_of

Json = Any
UNDER_WAY = ("saving", "publishing", "restoring", "renaming", "fetching")
QUIET = {"idle", "ready", "closed"}


@dataclass
class Turn:
    """What an agent itself wrote down of one prompt, before it sent anything of it."""

    marker: str
    words: str = ""
    reason: str = ""  # why it ended; "" if the agent died


def turns(log: Path) -> Iterator[Turn]:
    turn: Turn | None = None
    for line in log.read_text(errors="replace").splitlines():
        try:
            ((kind, value),) = json.loads(line).items()
        except ValueError:  # cut by a full disk or a kill
            continue
        if kind == "prompt":
            if turn:
                yield turn
            turn = Turn(marker_of(value))
        elif turn and kind == "update" and value["sessionUpdate"] == "agent_message_chunk":
            turn.words += value["content"]["text"]
        elif turn and kind in ("stopped", "failed"):
            turn.reason = value
    if turn:
        yield turn


def unrest(task: Json, sessions: list[Json]) -> str:
    """What of a task has not come to rest; "" if all has."""
    if task["state"] == "archived":
        return ""
    if task["state"] != "ready":
        return f"it is {task['state']}: {task['failure']}"
    if task["rename"]:
        return f"its rename has not ended: {task['rename']}"
    if task["checkpoint_failure"]:
        return f"its work is not saved: {task['checkpoint_failure']['message']}"
    if busy := [name for name in UNDER_WAY if task[name]]:
        return busy[0]
    for found in sessions:
        view = found["session"]
        if view["status"] not in QUIET:
            return f"session {view['id']} is {view['status']}"
        if view["messages"]:
            return f"session {view['id']} has a message that is {view['messages'][0]['state']}"
        if view["permissions"]:
            return f"session {view['id']} waits for an answer"
    return ""


async def seen(person: Person, task: str) -> tuple[Json, list[Json]]:
    """A task with its sessions and their transcripts."""
    found = await person.request("GET", f"/api/tasks/{task}")
    sessions = []
    for summary in found["sessions"]:
        try:
            sessions.append(await person.request("GET", f"/api/sessions/{summary['id']}"))
        except Refused:  # its row comes with the task's first message
            continue
    return found, sessions


class Checks:
    """Each gives what is wrong, in words."""

    def __init__(self, book: Book, ground: Ground, person: Person) -> None:
        self.book, self.ground, self.person = book, ground, person
        self.turns: dict[str, list[Turn]] = {}  # by marker
        self.seen: dict[str, Json] = {}  # what was looked at, by task: for whoever looks into a violation
        self.compared = 0
        self.looked_for = 0

    async def violations(self) -> list[str]:
        found = list(self.book.wrong)
        for log in sorted(self.ground.logs.iterdir()) if self.ground.logs.exists() else ():
            for turn in turns(log):
                self.turns.setdefault(turn.marker, []).append(turn)
        found += await self.each_task_once()
        boxes: set[str] = set()
        for opened in self.book.tasks.values():
            task, sessions = await seen(self.person, opened.id)
            self.seen[opened.id] = {"book": asdict(opened), "task": task, "sessions": sessions}
            if task["state"] != "archived" or task["retained"]:
                boxes.add(task["sandbox"])
            if why := unrest(task, sessions):
                found.append(f"{opened.id} {opened.marker} never came to rest: {why}: {brief(task)}")
                found += [f"  {brief(s)}" for s in sessions]
            for session in sessions:
                said = opened.of(session["session"]["id"])
                found += self.each_message_once(said, session)
                found += self.in_order(said, session)
                found += self.as_the_agent_said(said, session)
            found += await self.work_is_saved(opened, task)
        found += self.prompts_at_most_once()
        found += [f"sandbox {name} belongs to nobody" for name in set(self.ground.sandboxes()) - boxes]
        found += [
            f"sandbox {name} has {len(servers)} sandbox-agents"
            for name in self.ground.sandboxes()
            if len(servers := self.ground.servers(name)) > 1
        ]
        found += await self.nothing_is_left()
        return found

    async def each_task_once(self) -> list[str]:
        titles: list[str] = []
        for archived in ("false", "true"):
            path = f"/api/organizations/{ORGANIZATION}/tasks?archived={archived}"
            titles += [task["title"] for task in await self.person.request("GET", path)]
        wanted = [opened.marker for opened in self.book.tasks.values()]
        return [f"task {m} is there {titles.count(m)} times" for m in wanted if titles.count(m) != 1]

    def each_message_once(self, said: list[Said], session: Json) -> Iterator[str]:
        shown = [marker_of(e["text"]) for e in session["transcript"] if e["kind"] == "user"]
        waiting = [marker_of(m["text"]) for m in session["session"]["messages"]]
        closed = session["session"]["status"] == "closed"
        for one in said:
            times = shown.count(one.marker)
            if times > 1 + one.resent or (
                times == 0 and one.marker not in waiting and not one.withdrawn and not closed
            ):
                yield f"message {one.marker} of {one.session} is in its transcript {times} times"
        yield from (f"message {m} was refused and is there" for m in {*shown, *waiting} & set(self.book.never))
        known = {one.marker for one in said}
        yield from (f"nobody said {m}" for m in {*shown, *waiting} - known)

    def in_order(self, said: list[Said], session: Json) -> Iterator[str]:
        shown = [marker_of(e["text"]) for e in session["transcript"] if e["kind"] == "user"]
        order = [one.marker for one in said if one.marker in shown and not one.resent]
        again = {one.marker for one in said if one.resent}  # each time where it was sent
        if order != (real := [marker for marker in shown if marker not in again]):
            yield f"said as {order}, given to the agent as {real}"

    def as_the_agent_said(self, said: list[Said], session: Json) -> Iterator[str]:
        words: dict[str, str] = {}
        marker = ""
        for entry in session["transcript"]:
            if entry["kind"] == "user":
                marker = marker_of(entry["text"])
            elif entry["kind"] == "agent":
                words[marker] = words.get(marker, "") + entry["text"]
            elif entry["kind"] == "gap":
                yield f"a gap in {session['session']['id']}: {entry['text']}"
        again = {one.marker for one in said if one.resent}
        after_again = False  # a message that was sent again is answered further down
        for one in said:
            after_again = after_again or one.marker in again
            (turn,) = found if len(found := self.turns.get(one.marker, [])) == 1 else (None,)
            if turn is None or after_again:
                continue
            shown = words.get(one.marker, "")
            self.compared += 1
            whole = bool(turn.reason) and session["session"]["status"] != "closed"
            if shown != turn.words if whole else not turn.words.startswith(shown):
                yield (
                    f"{one.marker} ({turn.reason or 'the agent died'}): the agent said …{turn.words[-80:]!r}"
                    f" ({len(turn.words)}), the transcript has …{shown[-80:]!r} ({len(shown)})"
                )

    def prompts_at_most_once(self) -> Iterator[str]:
        for opened in self.book.tasks.values():
            for one in opened.said:
                times = len(self.turns.get(one.marker, []))
                if times > 1 + one.resent:
                    yield f"the agent got {one.marker} {times} times; it was sent again {one.resent} times"

    async def work_is_saved(self, opened: Opened, task: Json) -> list[str]:
        """What an agent had done when it ended its turn is in the last checkpoint, wherever its sandbox is now."""
        done = [
            one.marker
            for one in opened.said
            if not (one.before_restore or one.went_unsaved)
            and any(t.reason == "end_turn" for t in self.turns.get(one.marker, []))
        ]
        if not done or opened.discarded:
            return []
        listed = await self.person.request("GET", f"/api/tasks/{opened.id}/checkpoints")
        if not listed:
            return [f"{opened.id} has work and no checkpoint: {brief(task)}"]
        path = f"/api/tasks/{opened.id}/checkpoints/{listed[0]['id']}/patch"
        patch = await self.person.text(path)
        self.looked_for += len(done)
        return [f"the work of {m} is in no checkpoint of {opened.id}" for m in done if f"soak/{m}.txt" not in patch]

    async def nothing_is_left(self) -> list[str]:
        held = await self.person.request("GET", "/api/app/inspect")
        found = [f"a message was set aside: {letter}" for letter in held["set_aside"]]
        found += [f"a message is not read: {mail}" for mail in held["mailboxes"] if mail["oldest"] > 5]
        found += [f"a workflow goes on: {work}" for work in held["workflows"] if work["age"] > 60]
        found += [f"a schedule is late: {plan}" for plan in held["schedules"] if plan["due_in"] < -5]
        return found
