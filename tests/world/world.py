"""World: all actors on the real runtime and database, with an outside that a test chooses.

After every command, at every `quiet`, and at its end, each topic's snapshot and events are compared
with a fresh snapshot (`tests/world/topics.py`).

    async with world(url, Scripted()) as tree:
        task = await tree.create("Do it")
        await tree.quiet()
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, select, text

from foundry.actors.task.views import checkpoint_list, task_view
from foundry.actors.task_session.views import session_view
from foundry.app import house
from foundry.contracts import addresses
from foundry.contracts.app_shell import OpenAppShell
from foundry.contracts.ids import (
    MessageId,
    OrganizationId,
    RepositoryId,
    SandboxId,
    SessionId,
    TaskId,
    UserId,
    new_id,
)
from foundry.contracts.issues import Outcome, WorkflowEnded
from foundry.contracts.messages import Address, Birth, Command, Message, ScopeId
from foundry.contracts.organization import OrganizationSeen, RepositoriesSeen
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef, RepositorySeen
from foundry.contracts.task import CreateTask, TaskView
from foundry.contracts.task_checkpoints import CheckpointView
from foundry.contracts.task_session import SendMessage, SessionView
from foundry.runtime.actor import Actor, creates
from foundry.runtime.runtime import House, Runtime
from foundry.runtime.store.migrate import engine_of, open_store, sqlite_path
from foundry.runtime.store.tables import mailbox, metadata, schedules
from foundry.runtime.turn import Turn
from foundry.runtime.workflow.flow import Workflows
from foundry.runtime.workflow.workflow_rows import Started, start_rows
from tests.waiting import eventually
from tests.world.outside import Outside, Scripted
from tests.world.rest import QUIET, under_way
from tests.world.topics import Topics

R = TypeVar("R")
M = TypeVar("M", bound=Message)

ORGANIZATION = OrganizationId("2001")
REPOSITORY = RepositoryRef(
    id=RepositoryId("4001"), organization=ORGANIZATION, owner="lumen-works", name="tally", clone_url="http://x/y.git"
)
ADA = Person(id=UserId("1001"), login="ada", name="Ada Byron")


class Speak(Command[None], Birth):
    """Send these messages, as the turn of some other actor would."""

    to: Address
    words: list[Message]


class Voice(Actor):
    """Speaks as any actor that a test wants; each key is a sender of its own."""

    @creates(Speak)
    def speak(self, turn: Turn, command: Speak) -> None:
        for word in command.words:
            turn.send(Address(*command.to), word)


class World:
    """The running tree and what a test does in it."""

    def __init__(self, runtime: Runtime, outside: Any, topics: Topics) -> None:
        self.runtime, self.outside, self.topics = runtime, outside, topics
        self.read = runtime.read

    # commands and messages

    async def ask(self, address: Address, command: Command[R], **how: Any) -> R:
        """Run a command's turn now; answered or refused, every topic holds afterwards."""
        try:
            return await self.runtime.ask(address, command, **how)
        finally:
            await self.topics.check()

    async def say(self, *words: Message, to: Address, sender: str = "somebody") -> None:
        """Send messages as another actor would, and wait until all is done that follows."""
        await self.runtime.ask(Address("Voice", sender), Speak(to=to, words=list(words)))
        await self.quiet()

    async def sent(self, to: Address, kind: type[M]) -> list[M]:
        """The messages of this kind that were ever sent to this actor."""
        query = text("SELECT body FROM world_sent WHERE receiver=:receiver AND word=:word ORDER BY number")
        found = await self.read(
            lambda r: r._connection.execute(query, {"receiver": str(to), "word": kind.__name__}).all()
        )
        return [kind.model_validate_json(row.body) for row in found]

    async def events(self, address: Address, after: int = 0) -> list[tuple[str, str]]:
        """The words of a topic's stored events and their JSON."""
        rows = await self.read(lambda r: r.events(address, after))
        return [(row.word, row.body) for row in rows]

    # rest

    async def quiet(self, limit: float = QUIET) -> None:
        """Wait until nothing more comes unless the test does something.

        No message waits, no workflow runs but those that wait at `hold`, no schedule is due.
        """
        await eventually(self.under_way, lambda found: not found, limit=limit)
        await self.topics.check()

    async def under_way(self) -> list[str]:
        """What is still under way."""
        return self.outside.on_its_way() + await under_way(self.runtime, self.outside.held)

    async def coming(self, address: Address) -> list[str]:
        """The names of the schedules that this actor waits for."""
        query = select(schedules.c.name).where(schedules.c.actor == str(address)).order_by(schedules.c.name)
        return [row.name for row in await self.read(lambda r: r.all(query))]

    # workflows that do not run here

    async def started(self, owner: Address, name: str | None = None) -> list[Started]:
        """The workflows of this actor that have not ended."""
        rows = await self.read(start_rows)
        return [row for row in rows if row.owner == owner and name in (None, row.name)]

    async def end(self, row: Started, outcome: Outcome = Outcome.DONE, **more: Any) -> None:
        """End a workflow as the engine would."""
        ended = WorkflowEnded(workflow=row.name, workflow_id=row.id, outcome=outcome, **more)
        await self.runtime.end_workflow(row.owner, ended, None)
        await self.topics.check()

    # what people do and see

    async def create(self, prompt: str = "Do it", **wish: Any) -> TaskId:
        """Open a task as the edge does."""
        task = TaskId(new_id("tsk"))
        given = {
            "id": task, "session": SessionId(new_id("ses")), "sandbox": SandboxId(new_id("sbx")),
            "repository": REPOSITORY, "prompt": prompt, "agent": "mock", "person": ADA,
            "parent": addresses.repository(REPOSITORY.id), "scope": ScopeId(ORGANIZATION),
        }  # fmt: skip
        command = CreateTask(**{**given, **wish})
        await self.ask(addresses.task(command.id), command)
        return command.id

    async def task(self, task: TaskId) -> TaskView:
        return await self.read(task_view, task)

    async def checkpoints(self, task: TaskId) -> list[CheckpointView]:
        """The latest first."""
        return await self.read(checkpoint_list, task)

    async def session(self, session: SessionId) -> SessionView:
        return await self.read(session_view, session)

    async def until(self, task: TaskId, holds: Any, limit: float = 15.0) -> TaskView:
        """The task once `holds` is true of it."""
        return await eventually(lambda: self.task(task), holds, limit=limit)

    async def send(self, session: SessionId, text: str) -> SessionView:
        message = SendMessage(id=MessageId(new_id("msg")), text=text, person=ADA)
        return await self.ask(addresses.session(session), message)

    # GitHub's sync

    async def plant(self, *repositories: RepositoryRef) -> None:
        """Put in place what GitHub's sync would have made: the organization lumen-works with these repositories."""
        organization, scope = addresses.organization(ORGANIZATION), ScopeId(ORGANIZATION)
        here = OrganizationSeen(parent=addresses.app_shell(), scope=scope, id=ORGANIZATION, login="lumen-works")
        listed = RepositoriesSeen(repositories=list(repositories))
        await self.runtime.ask(Address("Voice", "github"), Speak(to=organization, words=[here, listed]))
        for one in repositories:
            seen = RepositorySeen(parent=organization, scope=scope, repository=one)
            await self.runtime.ask(Address("Voice", "github"), Speak(to=addresses.repository(one.id), words=[seen]))
        waiting = select(mailbox.c.receiver, mailbox.c.word).where(mailbox.c.sender == str(Address("Voice", "github")))
        await eventually(lambda: self.read(lambda r: r.all(waiting)), lambda rows: not rows, limit=QUIET)


@asynccontextmanager
async def world(
    url: str,
    outside: Outside | None = None,
    idle: timedelta | None = None,
    *,
    repositories: Sequence[RepositoryRef] = (REPOSITORY,),
    played: Sequence[Actor] = (),
    **more: Any,
) -> AsyncIterator[World]:
    """The tree, running.

    Args:
        outside: what the doors lead to; None: one that does at once whatever is asked.
        idle: sandboxes are stopped when nobody used them for that long.
        repositories: that GitHub's sync has found; none: it has not run yet.
        played: actors that the test plays itself, in the place of the real ones.
        more: for the house.
    """
    there: Any = outside or Scripted()
    _make_tables(url)
    declared = _house(there, played, **{"idle": idle, "reconcile": 0.1, **more})
    workflow_url = url.replace("foundry.db", "workflows.db") if there.engine else None
    runtime = Runtime(declared, open_store(url), workflow_url=workflow_url)
    tree = World(runtime, there, Topics(runtime, [type(one).__name__ for one in played]))
    there.starts_in(tree)
    await runtime.start(there)
    try:
        await tree.topics.begin()
        await runtime.ask(addresses.app_shell(), OpenAppShell())
        if repositories:
            await tree.plant(*repositories)
        yield tree
        await tree.topics.check()
    finally:
        there.let_go()
        await runtime.stop()


def _house(outside: Outside, played: Sequence[Actor], **more: Any) -> House:
    whole = house(**more)
    names = {type(one).__name__ for one in played}
    actors = [one for one in whole.actors if type(one).__name__ not in names]
    real = {name: one for name, one in whole.workflows.by_name.items() if one.owner not in names}
    workflows, workers = Workflows(real), tuple(whole.workers)
    if not outside.engine:
        workflows, workers = Workflows(), ()
    elif not outside.reconciles:
        workers = tuple(one for one in workers if one.kind == "SessionStatusSync")
    return House((*actors, *played, Voice()), whole.coordinator, workflows, workers)


def _make_tables(url: str) -> None:
    """Foundry's tables, and one that remembers every message that was sent; on SQLite from a copy, which is faster."""
    if not url.startswith("sqlite"):
        _make_tables_in(url)
    elif not sqlite_path(url).exists():
        shutil.copy(_empty(), sqlite_path(url))


@cache
def _empty() -> Path:
    """An SQLite database with all tables and no rows, made once in this process."""
    path = Path(tempfile.mkdtemp(prefix="foundry-world-")) / "empty.db"
    atexit.register(shutil.rmtree, path.parent)
    _make_tables_in(f"sqlite:///{path}")
    return path


def _make_tables_in(url: str) -> None:
    engine = engine_of(url)
    metadata.create_all(engine)
    with engine.begin() as connection:
        _remember_messages(connection)
    engine.dispose()


def _remember_messages(connection: Connection) -> None:
    sqlite = connection.dialect.name == "sqlite"
    number = "INTEGER PRIMARY KEY AUTOINCREMENT" if sqlite else "BIGSERIAL PRIMARY KEY"
    columns = f"number {number}, receiver TEXT, word TEXT, body TEXT"
    copy = "INSERT INTO world_sent (receiver, word, body) VALUES (NEW.receiver, NEW.word, NEW.body);"
    statements = [f"CREATE TABLE IF NOT EXISTS world_sent ({columns})"]
    if sqlite:
        statements.append(f"CREATE TRIGGER IF NOT EXISTS world_sent AFTER INSERT ON mailbox BEGIN {copy} END")
    else:
        body = f"BEGIN {copy} RETURN NEW; END"
        statements += [
            f"CREATE OR REPLACE FUNCTION world_sent() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$",
            "CREATE OR REPLACE TRIGGER world_sent AFTER INSERT ON mailbox FOR EACH ROW EXECUTE FUNCTION world_sent()",
        ]
    for statement in statements:
        connection.exec_driver_sql(statement)
