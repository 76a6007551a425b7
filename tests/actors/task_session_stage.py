"""A stage for sessions: the real runtime, the two session actors, a task that grants the work tree, scripted agents.

`Stage.check` is what every command's test ends with: the old snapshot and the events since then give a fresh one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, Integer, String, Text, select

from foundry.actors.session_status_sync.actor import SessionStatusSync
from foundry.actors.session_status_sync.worker import WORKER
from foundry.actors.task_session.actor import TaskSession
from foundry.actors.task_session.views import session_snapshot
from foundry.actors.task_session.workflows import WORKFLOWS
from foundry.actors.watchdog import Watchdog
from foundry.contracts import addresses
from foundry.contracts.ids import MessageId, OrganizationId, RepositoryId, SandboxId, SessionId, TaskId, UserId, new_id
from foundry.contracts.issues import Outcome, WorkflowEnded
from foundry.contracts.messages import APP, Address, Birth, Command, Event, Json, Message, ScopeId
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import SandboxMoved
from foundry.contracts.sandbox_provider import AcpServerGone, Endpoint
from foundry.contracts.session_stream import AgentSession, ChooseServer, Ingest, SessionOpened, StreamItem
from foundry.contracts.task import PromptEnded, PromptGranted, PromptWaiting, SessionSeen
from foundry.contracts.task_session import (
    CreateSession,
    Entry,
    EntryChanged,
    MessageDelta,
    OpenAgent,
    SendMessage,
    SessionChanged,
    SessionView,
)
from foundry.runtime.actor import Actor, creates, handles, receives
from foundry.runtime.runtime import House, Runtime
from foundry.runtime.store.tables import owned_table
from foundry.runtime.topic import Published, Subscription
from foundry.runtime.turn import Reader, Turn
from foundry.runtime.workflow.flow import Workflows
from foundry.runtime.workflow.workflow_rows import Started, start_rows
from tests.runtime.toys import COORDINATOR, Coordinator, Open, open_store, workflow_url
from tests.waiting import eventually

ADA = Person(id=UserId("7"), login="ada", name="Ada")
BOB = Person(id=UserId("8"), login="bob", name="Bob")
REPOSITORY = RepositoryRef(id=RepositoryId("42"), organization=OrganizationId("1"), owner="acme", name="web")
SANDBOX = SandboxId("sbx_1")
TASK = TaskId("tsk_1")
WORDS = {"EntryChanged": EntryChanged, "MessageDelta": MessageDelta, "SessionChanged": SessionChanged}

WATCHDOG = Watchdog({"prompt unknown": 0.5, "stopping": 2, "sandbox unreachable": 5})

heard = owned_table(
    "Task",
    "stage_heard",
    Column("task", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("word", String, nullable=False),
    Column("body", Text, nullable=False),
)


class Begin(Command[None], Birth):
    """Let the task exist; optionally let it say something to a session."""

    grants: bool = True


class Say(Command[None]):
    """Let the task send a message to a session."""

    session: SessionId
    word: str
    body: str = "{}"


class Task(Actor):
    """Grants at once, notes what it hears."""

    @creates(Begin)
    def begin(self, turn: Turn, command: Begin) -> None:
        turn.insert(heard, number=0, word="grants" if command.grants else "waits", body="")

    @handles(Say)
    def say(self, turn: Turn, command: Say) -> None:
        word = next(w for w in Message.__subclasses__() if w.__name__ == command.word)
        turn.send(addresses.session(command.session), word.model_validate_json(command.body))

    def _note(self, turn: Turn, message: Message) -> None:
        number = len(turn.all(heard))
        turn.insert(heard, number=number, word=type(message).__name__, body=message.model_dump_json())

    @receives(SessionSeen)
    def seen(self, turn: Turn, message: SessionSeen) -> None:
        self._note(turn, message)
        self._grant(turn)

    @receives(PromptWaiting)
    def waiting(self, turn: Turn, message: PromptWaiting) -> None:
        self._note(turn, message)
        self._grant(turn)

    @receives(PromptEnded)
    def ended(self, turn: Turn, message: PromptEnded) -> None:
        self._note(turn, message)
        self._grant(turn)

    def _grant(self, turn: Turn) -> None:
        rows = turn.all(heard, order_by=heard.c.number)
        if rows[0].word != "grants":
            return
        able: dict[str, bool] = {}
        queue: list[PromptWaiting] = []
        running: str | None = None
        for row in rows:
            if row.word == "SessionSeen":
                session = SessionSeen.model_validate_json(row.body).session
                able[session.id] = session.status in ("ready", "idle")
            elif row.word == "PromptWaiting":
                queue.append(PromptWaiting.model_validate_json(row.body))
            elif row.word == "granted":
                running = row.body
                queue = [w for w in queue if w.message != row.body]
            elif row.word == "PromptEnded":
                ended = PromptEnded.model_validate_json(row.body)
                queue = [w for w in queue if w.message != ended.message]
                running = None if running == ended.message else running
        first = next((w for w in queue if able.get(w.session)), None)
        if running is None and first is not None:
            turn.insert(heard, number=len(rows), word="granted", body=first.message)
            turn.send(addresses.session(first.session), PromptGranted(message=first.message))


class SandboxInstance(Actor):
    @creates(Open)
    def open(self, turn: Turn, command: Open) -> None:
        pass

    @handles(SandboxMoved)
    def moved(self, turn: Turn, command: SandboxMoved) -> None:
        pass


@dataclass
class Server:
    """One ACP server's log and what was said to it."""

    items: list[StreamItem] = field(default_factory=list[StreamItem])
    news: asyncio.Event = field(default_factory=asyncio.Event)
    gone: bool = False
    lost: int = 0  # how many events it no longer has
    recorded: list[StreamItem] = field(default_factory=list[StreamItem])  # what the recorder has of it


class Agents:
    """The agents' door, scripted: a test says what the agent says, and fails calls on request."""

    def __init__(self) -> None:
        self.servers: dict[str, Server] = {}
        self.calls: list[tuple[str, str]] = []
        self.prompts: list[tuple[str, str]] = []  # JSON-RPC id, text
        self.answers: list[tuple[str, str | None]] = []
        self.fail: dict[str, list[Exception]] = {}
        self.down: Exception | None = None  # what connections fail with
        self.hold = asyncio.Event()  # cleared: prompts wait here before they are taken
        self.hold.set()
        self.can_load = False
        self.history: list[Json] = []  # what a load tells
        self.kept: int | None = None  # how many events of that the stream still has
        self.records = True  # whether the recorder has it
        self.holed = 0  # how many loads reach nobody whole
        self._sessions = itertools.count(1)

    def _call(self, name: str, what: str) -> None:
        self.calls.append((name, what))
        if self.fail.get(name):
            raise self.fail[name].pop(0)

    async def open(
        self, sandbox: SandboxId, server_id: str, agent: str, *, earlier: AgentSession | None, load: bool = False
    ) -> AgentSession:
        self._call("open", server_id)
        self.servers[server_id] = Server()
        kept = earlier is not None and self.can_load
        if kept and self.history:
            self.emit(server_id, *self.history, {"jsonrpc": "2.0", "id": "load", "result": {}})
            server = self.servers[server_id]
            if self.holed:
                self.holed -= 1
                del server.items[1]
            server.recorded = list(server.items) if self.records else []
            server.lost = len(server.items) - (self.kept or len(server.items))
            del server.items[: server.lost]
        number = earlier.agent_session_id if earlier and kept else f"agent-{next(self._sessions)}"
        return AgentSession(
            server_id=server_id, agent_session_id=number, can_load=self.can_load, replay_ends="load" if kept else ""
        )

    async def prompt(self, sandbox: SandboxId, session: AgentSession, rpc_id: str, text: str) -> None:
        self._call("prompt", text)
        await self.hold.wait()
        self.prompts.append((rpc_id, text))

    async def cancel(self, sandbox: SandboxId, session: AgentSession) -> None:
        self._call("cancel", session.server_id)

    async def answer(self, sandbox: SandboxId, session: AgentSession, rpc_id: str, option: str | None) -> None:
        self._call("answer", rpc_id)
        self.answers.append((rpc_id, option))

    async def stream(self, sandbox: SandboxId, server_id: str, after: int) -> AsyncIterator[StreamItem]:
        self.calls.append(("stream", server_id))
        if self.down:
            raise self.down
        server = self.servers[server_id]
        position = 0
        while not server.gone:
            while position < len(server.items):
                item = server.items[position]
                position += 1
                if item.event_id > after:
                    yield item
            server.news.clear()
            await server.news.wait()
            if self.down:
                raise self.down
        raise AcpServerGone(f"{server_id} is not known")

    async def record(self, sandbox: SandboxId, server_id: str) -> None:
        self._call("record", server_id)

    async def recorded(self, sandbox: SandboxId, server_id: str, after: int) -> AsyncIterator[StreamItem]:
        self._call("recorded", server_id)
        for item in self.servers[server_id].recorded:
            if item.event_id > after:
                yield item

    async def end(self, sandbox: SandboxId, server_id: str) -> None:
        self._call("end", server_id)

    async def close(self, sandbox: SandboxId, server_id: str) -> None:
        self._call("close", server_id)
        if server_id in self.servers:
            self.lose(server_id)

    # what the test does

    def emit(self, server_id: str, *messages: Json) -> None:
        server = self.servers[server_id]
        for message in messages:
            server.items.append(StreamItem(event_id=len(server.items) + server.lost + 1, message=message))
        server.news.set()

    def lose(self, server_id: str) -> None:
        self.servers[server_id].gone = True
        self.servers[server_id].news.set()

    def break_connections(self, error: Exception | None) -> None:
        self.down = error
        for server in self.servers.values():
            server.news.set()


class Sandboxes:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail: dict[str, list[Exception]] = {}

    async def start(self, sandbox: SandboxId) -> Endpoint:
        self.calls.append("start")
        if self.fail.get("start"):
            raise self.fail["start"].pop(0)
        return Endpoint(url="http://127.0.0.1:1")

    async def install_agent(self, sandbox: SandboxId, agent: str) -> None:
        self.calls.append("install")
        if self.fail.get("install"):
            raise self.fail["install"].pop(0)


class Doors:
    def __init__(self, agents: Any = None, sandboxes: Any = None) -> None:
        self.agents = agents or Agents()
        self.sandboxes = sandboxes or Sandboxes()
        self.github: Any = None


@dataclass
class Stage:
    """One session of one task. Without workflows the test itself plays their steps."""

    runtime: Runtime
    doors: Doors
    session: SessionId
    watch: Subscription
    told: list[Published] = field(default_factory=list[Published])  # what a watcher from the beginning was told
    version: int = 0
    seen: SessionView | None = None
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    begun_at: tuple[int, dict[str, Entry]] = (0, {})
    server: str = ""
    next_id: int = 1
    ended: list[Started] = field(default_factory=list[Started])  # workflows whose end the test has played

    @property
    def address(self) -> Address:
        return addresses.session(self.session)

    @property
    def agents(self) -> Agents:
        return self.doors.agents

    async def ask(self, command: Command[Any]) -> Any:
        return await self.runtime.ask(self.address, command)

    async def task_says(self, message: Message) -> None:
        body = message.model_dump_json()
        await self.runtime.ask(addresses.task(TASK), Say(session=self.session, word=type(message).__name__, body=body))

    async def snapshot(self) -> tuple[int, SessionView, list[Entry]]:
        return await self.runtime.read(session_snapshot, self.session)

    async def view(self) -> SessionView:
        return (await self.snapshot())[1]

    async def transcript(self) -> list[Entry]:
        return (await self.snapshot())[2]

    async def until(self, condition: Any, limit: float = 10.0) -> SessionView:
        """The session, once the condition holds of it."""
        return await eventually(self.view, condition, limit=limit)

    async def heard(self, word: str | None = None) -> list[str]:
        """What the task has heard, as `Model` or the bodies of one word."""

        def look(reader: Reader) -> list[str]:
            rows = reader.all(select(heard).where(heard.c.task == TASK, heard.c.number > 0).order_by(heard.c.number))
            return [row.body if word else row.word for row in rows if word is None or row.word == word]

        return await self.runtime.read(look)

    async def started(self, name: str) -> list[str]:
        """The jobs of workflows of this name that were started and not cancelled."""
        done = [row.job for row in self.ended if row.name == name]
        return [
            *done,
            *(row.job for row in await self.runtime.read(start_rows) if row.name == name and not row.cancelled),
        ]

    async def end(self, *names: str) -> None:
        """Without workflows: those of these names have succeeded."""
        for row in await self.runtime.read(start_rows):
            if row.name in names:
                self.ended.append(row)
                done = WorkflowEnded(workflow=row.name, workflow_id=row.id, outcome=Outcome.DONE)
                await self.runtime.end_workflow(self.address, done, None)

    # shortcuts

    async def send(self, text: str, person: Person = ADA) -> MessageId:
        message = MessageId(new_id("msg"))
        await self.ask(SendMessage(id=message, text=text, person=person))
        return message

    async def open(
        self, *, how: Any = "new", agent_session: str = "agent-1", replay_ends: str = "", can_load: bool = False
    ) -> None:
        """Play the steps of opening."""
        self.server = await self.ask(ChooseServer(fresh=bool(self.server)))
        self.next_id = 1
        opened = AgentSession(
            server_id=self.server, agent_session_id=agent_session, replay_ends=replay_ends, can_load=can_load
        )
        await self.ask(SessionOpened(opened=opened, how=how))
        await self.end("open_session", "resume_session")

    async def run(self, text: str = "Fix it") -> tuple[MessageId, str]:
        """Send a prompt and wait until it is with the agent; gives the message and its JSON-RPC id."""
        import json

        message = await self.send(text)
        await self.until(lambda v: v.running == message)
        jobs = [json.loads(job) for job in await self.started("prompt")]
        return message, next(job["rpc_id"] for job in jobs if job["message"] == message)

    async def stream(self, *messages: Json, skip: int = 0) -> int:
        """Ingest these messages as the next of the session's server."""
        self.next_id += skip
        items = [StreamItem(event_id=self.next_id + n, message=message) for n, message in enumerate(messages)]
        self.next_id += len(items)
        return await self.ask(Ingest(server_id=self.server, items=items))

    async def check(self) -> None:
        """Old snapshot + events = fresh snapshot, for a watcher and for one who catches up from the stored events."""
        version, view, entries = await self.snapshot()

        def reached() -> int:
            return self.told[-1].version if self.told else self.version

        await eventually(reached, lambda it_has: it_has >= version)
        self._apply([(e.version, e.word, e.body) for e in self.told], version)
        assert sorted(self.entries.values(), key=lambda e: (e.position, e.part)) == entries
        assert self.seen == view
        since, kept = self.begun_at
        stored = await self.runtime.read(lambda r: r.events(self.address, after=since))
        late = Stage(self.runtime, self.doors, self.session, self.watch, version=since, entries=dict(kept))
        late._apply([(row.version, row.word, row.body) for row in stored], version)
        assert sorted(late.entries.values(), key=lambda e: (e.position, e.part)) == entries
        self.version = version

    async def listen(self) -> None:
        """Watch from the version that is known, as a page does, until cancelled."""
        async for event in self.watch.events(self.version):
            self.told.append(event)

    def _apply(self, events: list[tuple[int, str, str]], until: int) -> None:
        for version, word, body in events:
            if not self.version < version <= until or word not in WORDS:
                continue
            event = WORDS[word].model_validate_json(body)
            if isinstance(event, SessionChanged):
                self.seen = event.session
            else:
                fold(self.entries, event)


@asynccontextmanager
async def stage(
    url: str, *, live: bool = False, doors: Doors | None = None, opened: bool = True, grants: bool = True,
    prompt: str | None = None, again: SessionId | None = None, watchdog: Watchdog = WATCHDOG,
) -> AsyncIterator[Stage]:  # fmt: skip
    """A session on this database. `live`: with workflows and workers; else the test plays them."""
    doors = doors or Doors()

    def coordinator(scope: ScopeId) -> Address:
        return COORDINATOR

    house = House(
        (TaskSession(watchdog), SessionStatusSync(), Task(), SandboxInstance(), Coordinator()),
        coordinator,
        Workflows().add(*WORKFLOWS) if live else Workflows(),
        (WORKER,) if live else (),
    )
    runtime = Runtime(house, open_store(url), workflow_url=workflow_url(url) if live else None)
    await runtime.start(doors)  # type: ignore[arg-type]
    listening: asyncio.Task[None] | None = None
    try:
        session = again or SessionId(new_id("ses"))
        watch = runtime.hub.subscribe(addresses.session(session))
        built = Stage(runtime, doors, session, watch)
        if again is None:
            listening = asyncio.create_task(built.listen())
            await _begin(built, prompt, grants)
            if live and opened:
                await built.task_says(OpenAgent())
                await built.until(lambda v: v.status != "pending")
                built.server = next(iter(built.agents.servers), "")
            elif opened:
                await built.open()
        else:
            version, view, entries = await built.snapshot()
            built.version, built.seen = version, view
            built.entries = {entry.id: entry for entry in entries}
            built.begun_at = (version, dict(built.entries))
            listening = asyncio.create_task(built.listen())
        yield built
        if again is None or live:
            await built.check()
    finally:
        if listening:
            listening.cancel()
        await runtime.stop()


async def _begin(stage_: Stage, prompt: str | None, grants: bool) -> None:
    await stage_.runtime.ask(COORDINATOR, Open())
    await stage_.runtime.ask(addresses.sandbox(SANDBOX), Open())
    await stage_.runtime.ask(addresses.task(TASK), Begin(grants=grants))
    create = CreateSession(
        parent=addresses.task(TASK),
        scope=APP,
        id=stage_.session,
        task=TASK,
        repository=REPOSITORY,
        sandbox=SANDBOX,
        agent="mock",
        prompt=prompt,
        person=ADA,
    )
    await stage_.task_says(create)
    await eventually(lambda: stage_.runtime.read(lambda r: r.exists(stage_.address)))


# what a client does


def fold(entries: dict[str, Entry], event: Event) -> None:
    """Apply one event of the session's topic to a transcript, as every client does.

    Raises:
        ValueError: a delta does not fit the text so far; take a fresh snapshot.
    """
    if isinstance(event, EntryChanged):
        entries[event.entry.id] = event.entry
    elif isinstance(event, MessageDelta):
        known = entries.get(event.entity)
        if known is None and event.offset == 0:
            known = Entry(id=event.entity, position=event.position, kind=event.kind, complete=False, at=event.at)
        if known is None or len(known.text) != event.offset:
            raise ValueError(f"a delta at {event.offset} does not fit entry {event.entity}")
        entries[event.entity] = known.model_copy(update={"text": known.text + event.text})


# what an agent says


def update(which: str, **fields: Any) -> Json:
    params = {"sessionId": "agent-1", "update": {"sessionUpdate": which, **fields}}
    return {"jsonrpc": "2.0", "method": "session/update", "params": params}


def words(text: str, kind: str = "agent_message_chunk", **fields: Any) -> Json:
    return update(kind, content={"type": "text", "text": text}, **fields)


def stopped(rpc_id: str, reason: str = "end_turn") -> Json:
    return {"jsonrpc": "2.0", "id": rpc_id, "result": {"stopReason": reason}}


def refused(rpc_id: str, message: str = "no credit") -> Json:
    return {"jsonrpc": "2.0", "id": rpc_id, "error": {"code": -32000, "message": message}}


def asks(rpc_id: str | int, title: str = "Run make", **call: Any) -> Json:
    options = [
        {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
        {"optionId": "no", "name": "Reject", "kind": "reject_once"},
    ]
    params = {"sessionId": "agent-1", "toolCall": {"toolCallId": "t1", "title": title, **call}, "options": options}
    return {"jsonrpc": "2.0", "id": rpc_id, "method": "session/request_permission", "params": params}
