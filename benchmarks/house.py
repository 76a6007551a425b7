"""The whole turn that is measured: read the own row, upsert, send one message, publish one event, keep one key."""

from __future__ import annotations

from sqlalchemy import Column, Integer, String
from tests.runtime.toys import Toy

from foundry.contracts.messages import Address, Birth, Command, Event, Message
from foundry.runtime.actor import creates, handles, receives
from foundry.runtime.runtime import House
from foundry.runtime.store.tables import owned_table
from foundry.runtime.turn import Turn

counters = owned_table(
    "Counter",
    "bench_counters",
    Column("counter", String, primary_key=True),
    Column("count", Integer, nullable=False),
    Column("text", String, nullable=False),
)


class Create(Command[None], Birth): ...


class Count(Command[int]):
    text: str


class Counted(Message):
    count: int


class Changed(Event):
    count: int
    text: str


class Counter(Toy):
    topic = "counter"

    @creates(Create)
    def create(self, turn: Turn, command: Create) -> None:
        turn.insert(counters, count=0, text="")

    @handles(Count)
    def count(self, turn: Turn, command: Count) -> int:
        count = turn.one(counters).count + 1
        turn.update(counters, count=count, text=command.text)
        turn.send(Sink.at("sink"), Counted(count=count))
        turn.publish(Changed(entity=turn.key, count=count, text=command.text))
        return count


class Sink(Toy):
    """Takes the messages; `relayed` is when the last one was applied."""

    @creates(Create)
    def create(self, turn: Turn, command: Create) -> None:
        pass

    @receives(Counted)
    def counted(self, turn: Turn, message: Counted) -> None:
        turn.publish(Changed(entity="sink", count=message.count, text=""))


def house() -> House:
    return House((Counter(), Sink()), lambda scope: Address("Sink", "sink"))
