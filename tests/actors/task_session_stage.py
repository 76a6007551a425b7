"""One session in the world of its agents: the test plays its task, which grants the work tree, and the agents.

Without workflows (`live=False`) the test plays their steps too.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Column, Integer, String, Text, select

from foundry.actors.session_status_sync.times import StreamTimes
from foundry.actors.task_session.views import session_snapshot
from foundry.actors.watchdog import Watchdog
from foundry.app import STREAMS
from foundry.contracts import addresses
from foundry.contracts.ids import MessageId, OrganizationId, RepositoryId, SandboxId, SessionId, TaskId, UserId, new_id
from foundry.contracts.messages import APP, Address, Birth, Command, Json, Message
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import CreateSandbox, SandboxMoved, SandboxState
from foundry.contracts.session_stream import AgentSession, ChooseServer, Ingest, SessionOpened, StreamItem
from foundry.contracts.task import PromptEnded, PromptGranted, PromptWaiting, SessionSeen
from foundry.contracts.task_session import CreateSession, Entry, OpenAgent, SendMessage, SessionView
from foundry.runtime.actor import Actor, creates, handles, receives
from foundry.runtime.reader import Reader
from foundry.runtime.store.tables import owned_table
from foundry.runtime.turn import Turn
from foundry.runtime.workflow.workflow_rows import Started
from tests.waiting import eventually
from tests.world.agents import Agents, Doors
from tests.world.world import World, world

ADA = Person(id=UserId("7"), login="ada", name="Ada")
BOB = Person(id=UserId("8"), login="bob", name="Bob")
REPOSITORY = RepositoryRef(id=RepositoryId("42"), organization=OrganizationId("1"), owner="acme", name="web")
SANDBOX = SandboxId("sbx_1")
TASK = TaskId("tsk_1")

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
    said: Message


class Task(Actor):
    """Grants at once, notes what it hears."""

    @creates(Begin)
    def begin(self, turn: Turn, command: Begin) -> None:
        turn.insert(heard, number=0, word="grants" if command.grants else "waits", body="")

    @handles(Say)
    def say(self, turn: Turn, command: Say) -> None:
        turn.send(addresses.session(command.session), command.said)

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


@dataclass
class Stage:
    """One session of one task. Without workflows the test itself plays their steps."""

    world: World
    doors: Doors
    session: SessionId
    server: str = ""
    next_id: int = 1
    ended: list[Started] = field(default_factory=list[Started])  # workflows whose end the test has played

    def __post_init__(self) -> None:
        self.runtime = self.world.runtime
        self.check = self.world.topics.check

    @property
    def address(self) -> Address:
        return addresses.session(self.session)

    @property
    def agents(self) -> Agents:
        return self.doors.agents

    async def ask(self, command: Command[Any]) -> Any:
        return await self.world.ask(self.address, command)

    async def task_says(self, message: Message) -> None:
        await self.world.ask(addresses.task(TASK), Say(session=self.session, said=message))

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
            *(row.job for row in await self.world.started(self.address, name) if not row.cancelled),
        ]

    async def end(self, *names: str) -> None:
        """Without workflows: those of these names have succeeded."""
        for row in await self.world.started(self.address):
            if row.name in names:
                self.ended.append(row)
                await self.world.end(row)

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


@asynccontextmanager
async def stage(
    url: str, *, live: bool = False, doors: Doors | None = None, opened: bool = True, grants: bool = True,
    prompt: str | None = None, again: SessionId | None = None, watchdog: Watchdog = WATCHDOG,
    streams: StreamTimes = STREAMS,
) -> AsyncIterator[Stage]:  # fmt: skip
    """A session on this database. `live`: with workflows and workers; else the test plays them."""
    doors = doors or Doors(live=live)
    async with world(url, doors, repositories=(), played=(Task(),), watchdog=watchdog, streams=streams) as tree:
        built = Stage(tree, doors, again or SessionId(new_id("ses")))
        if again is None:
            await _begin(built, prompt, grants)
            if live and opened:
                await built.task_says(OpenAgent())
                await built.until(lambda v: v.status != "pending")
                built.server = next(iter(built.agents.servers), "")
            elif opened:
                await built.open()
        yield built


async def _begin(stage_: Stage, prompt: str | None, grants: bool) -> None:
    sandbox, ask = addresses.sandbox(SANDBOX), stage_.world.ask
    await ask(sandbox, CreateSandbox(id=SANDBOX, task=TASK))
    for state in (SandboxState.STARTING, SandboxState.RUNNING):
        await ask(sandbox, SandboxMoved(state=state))
    await ask(addresses.task(TASK), Begin(grants=grants))
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
