"""A small house to try the runtime in: ledgers that note what they are told, and a coordinator that notes failure."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Column, Integer, String, Text, select

from foundry.contracts.errors import WrongState
from foundry.contracts.issues import (
    AttemptFailed,
    EndFailure,
    FailureEnded,
    FailureRaised,
    KeepFailure,
    Outcome,
    RecordFailure,
    WorkflowEnded,
    WorkflowRecovered,
)
from foundry.contracts.messages import Address, Birth, Command, Event, Message, Model, ScopeId
from foundry.runtime.actor import Actor, creates, due, handles, receives
from foundry.runtime.intervals import Pace
from foundry.runtime.reader import Reader
from foundry.runtime.runtime import House, Runtime
from foundry.runtime.store.base import Store
from foundry.runtime.store.postgres import PostgresStore
from foundry.runtime.store.sqlite import SqliteStore, sqlite_engine
from foundry.runtime.store.tables import metadata, owned_table
from foundry.runtime.turn import Turn
from foundry.runtime.worker.supervisor import WorkerKind
from foundry.runtime.workflow.flow import Workflows

notes = owned_table(
    "Ledger",
    "toy_notes",
    Column("ledger", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("author", String, nullable=False),
    Column("text", Text, nullable=False),
)
failures = owned_table(
    "Coordinator",
    "toy_failures",
    Column("coordinator", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("fingerprint", String, nullable=False),
    Column("body", Text, nullable=False),
)


class Open(Command[None], Birth): ...


class Note(Command[int]):
    """Answered with the note's number."""

    author: str = "edge"
    text: str
    fail: bool = False
    refuse: bool = False


class Put(Command[None]):
    """Change the note with this number, or all; add one where there is none."""

    number: int | None
    author: str
    text: str


class Noted(Message):
    author: str
    text: str
    fail: bool = False


class Relay(Command[None]):
    """Tell other ledgers, then perhaps fail."""

    to: list[str]
    texts: list[str]
    fail: bool = False
    fail_there: bool = False


class Begin(Command[str]):
    """Start a workflow; answered with its id."""

    workflow: str
    text: str = ""


class Halt(Command[None]):
    workflow: str


class Remind(Command[None]):
    milliseconds: int


class Close(Command[None]): ...


class Burst(Command[None]):
    """Publish so many events at once."""

    count: int


class Write(Command[None]):
    """Replace what is said of an entity."""

    entity: str
    text: str


class NoteTaken(Event):
    number: int
    author: str
    text: str


class Changed(Event): ...


class Job(Model):
    text: str = ""


class Toy(Actor):
    @classmethod
    def at(cls, key: str) -> Address:
        return Address(cls.__name__, key)


class Ledger(Toy):
    topic = "ledger"

    @creates(Open)
    def open(self, turn: Turn, command: Open) -> None:
        pass

    def _note(self, turn: Turn, author: str, text: str) -> int:
        number = len(turn.all(notes))
        turn.insert(notes, number=number, author=author, text=text)
        turn.publish(NoteTaken(entity=str(number), number=number, author=author, text=text))
        return number

    @handles(Note)
    def note(self, turn: Turn, command: Note) -> int:
        number = self._note(turn, command.author, command.text)
        if command.refuse:
            raise WrongState("the ledger will not have it", field="text")
        if command.fail:
            raise RuntimeError("asked to fail")
        return number

    @handles(Put)
    def put(self, turn: Turn, command: Put) -> None:
        where = {} if command.number is None else {"number": command.number}
        turn.put(notes, where, author=command.author, text=command.text)
        shown = turn.all(notes, **where)
        assert {row.text for row in shown} == {command.text}, "a read after a write sees it"

    @receives(Noted)
    def noted(self, turn: Turn, message: Noted) -> None:
        self._note(turn, message.author, message.text)
        if message.fail:
            raise RuntimeError("asked to fail")

    @handles(Relay)
    def relay(self, turn: Turn, command: Relay) -> None:
        for text in command.texts:
            for to in command.to:
                turn.send(Ledger.at(to), Noted(author=turn.key, text=text, fail=command.fail_there))
        if command.fail:
            raise RuntimeError("asked to fail")

    @handles(Begin)
    def begin(self, turn: Turn, command: Begin) -> str:
        return turn.start(command.workflow, Job(text=command.text))

    @handles(Halt)
    def halt(self, turn: Turn, command: Halt) -> None:
        turn.cancel(command.workflow)  # type: ignore[arg-type]

    @handles(AttemptFailed)
    def failure(self, turn: Turn, command: AttemptFailed) -> None:
        t = command.failure
        self._note(turn, "workflow", f"{t.step}:{t.attempt}:again:{t.message}")

    @receives(WorkflowEnded)
    def workflow_ended(self, turn: Turn, message: WorkflowEnded) -> None:
        if message.workflow == "cursed" and turn.find(notes, author="cure") is None:
            raise RuntimeError("asked to fail")
        if message.workflow == "cursed":
            self._note(turn, "workflow", f"cursed:{message.outcome.value}")
        if t := message.failure:
            self._note(turn, "workflow", f"{t.step}:{t.attempt}:final:{t.message}")
        if message.outcome is Outcome.CANCELLED:
            self._note(turn, "workflow", "cancelled")

    @handles(WorkflowRecovered)
    def recovered(self, turn: Turn, command: WorkflowRecovered) -> None:
        self._note(turn, "workflow", f"recovered:{command.workflow}")

    @handles(Remind)
    def remind(self, turn: Turn, command: Remind) -> None:
        turn.schedule("reminder", timedelta(milliseconds=command.milliseconds))

    @due("reminder")
    def reminded(self, turn: Turn) -> None:
        self._note(turn, "schedule", "reminder")

    @handles(Burst)
    def burst(self, turn: Turn, command: Burst) -> None:
        for number in range(command.count):
            turn.publish(NoteTaken(entity="burst", number=number, author="burst", text="x"))

    @handles(Close)
    def close(self, turn: Turn, command: Close) -> None:
        turn.end()


class Diary(Toy):
    """Its events are its state: kept, and replaced by later ones of the same entity."""

    topic = "diary"
    keeps_events = True

    @creates(Open)
    def open(self, turn: Turn, command: Open) -> None:
        pass

    @handles(Write)
    def write(self, turn: Turn, command: Write) -> None:
        turn.compact(command.entity)
        turn.publish(NoteTaken(entity=command.entity, number=0, author="diary", text=command.text))


class Coordinator(Toy):
    @creates(Open)
    def open(self, turn: Turn, command: Open) -> None:
        pass

    def _add(self, turn: Turn, fingerprint: str, body: str) -> None:
        turn.insert(failures, number=len(turn.all(failures)), fingerprint=fingerprint, body=body)
        turn.publish(Changed(entity="recorded"))

    @receives(FailureRaised)
    def raised(self, turn: Turn, message: FailureRaised) -> None:
        self._add(turn, message.failure.fingerprint, message.failure.model_dump_json())

    @receives(FailureEnded)
    def works_again(self, turn: Turn, message: FailureEnded) -> None:
        turn.delete(failures, fingerprint=message.fingerprint)

    @handles(RecordFailure)
    def record(self, turn: Turn, command: RecordFailure) -> None:
        self._add(turn, command.failure.fingerprint, command.failure.model_dump_json())

    @handles(KeepFailure)
    def keep(self, turn: Turn, command: KeepFailure) -> None:
        turn.delete(failures, fingerprint=command.failure.fingerprint)
        self._add(turn, command.failure.fingerprint, command.failure.model_dump_json())

    @handles(EndFailure)
    def ended(self, turn: Turn, command: EndFailure) -> None:
        turn.delete(failures, fingerprint=command.fingerprint)
        turn.publish(Changed(entity="ended"))


COORDINATOR = Coordinator.at("app")


def texts(reader: Reader, ledger: str) -> list[tuple[str, str]]:
    rows = reader.all(select(notes.c.author, notes.c.text).where(notes.c.ledger == ledger).order_by(notes.c.number))
    return [(row.author, row.text) for row in rows]


def all_failures(reader: Reader) -> list[str]:
    return [row.body for row in reader.all(select(failures.c.body).order_by(failures.c.number))]


def house(workflows: Workflows | None = None, workers: tuple[WorkerKind, ...] = ()) -> House:
    def coordinator(scope: ScopeId) -> Address:
        return COORDINATOR

    return House((Ledger(), Diary(), Coordinator()), coordinator, workflows or Workflows(), workers)


def open_store(url: str) -> Store:
    """The store of a database URL, with every table made."""
    if url.startswith("sqlite"):
        path = Path(url.removeprefix("sqlite:///"))
        engine = sqlite_engine(path)
        metadata.create_all(engine)
        engine.dispose()
        return SqliteStore(path)
    from foundry.runtime.store.postgres import postgres_engine

    engine = postgres_engine(url, 1)
    metadata.create_all(engine)
    engine.dispose()
    return PostgresStore(url, threads=4)


def workflow_url(url: str) -> str:
    return url.replace("foundry.db", "workflows.db")


@asynccontextmanager
async def running(
    url: str,
    house_: House | None = None,
    doors: Any = None,
    ledgers: tuple[str, ...] = ("a", "b", "c"),
    pace: Pace | None = None,
) -> AsyncIterator[Runtime]:
    """A runtime that works on this database, with some ledgers open."""
    declared = house_ or house()
    flows = workflow_url(url) if declared.workflows.by_name else None
    runtime = Runtime(declared, open_store(url), workflow_url=flows, pace=pace)
    await runtime.start(doors)
    try:
        for address in (COORDINATOR, *map(Ledger.at, ledgers)):
            if not await runtime.read(lambda r, a=address: r.exists(a)):
                await runtime.ask(address, Open())
        yield runtime
    finally:
        await runtime.stop()


def running_beside(url: str, first: Runtime, **how: Any) -> AbstractAsyncContextManager[Runtime]:
    """A second replica on PostgreSQL; on SQLite, which has one process, the same one again."""
    return nullcontext(first) if url.startswith("sqlite") else running(url, **how)
