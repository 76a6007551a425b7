"""The kinds of words actors exchange, and how an actor is addressed.

A *command* is asked by the edge or by a workflow step and has an answer; a *message* is sent between actors and
nobody waits for it; an *event* is published on the topic of the actor it speaks of. All are immutable.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, Generic, NamedTuple, NewType, Self, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.config import ExtraValues

Answer = TypeVar("Answer")

Json = dict[str, Any]
"""A JSON object as it came from outside."""

ScopeId = NewType("ScopeId", str)
"""Where a problem is reported: an organization's id, or `app` for what belongs to no organization."""

APP = ScopeId("app")


class Address(NamedTuple):
    """Who an actor is: its kind, and its key within the kind."""

    kind: str
    key: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.key}"

    @classmethod
    def parse(cls, text: str) -> Address:
        kind, _, key = text.partition(":")
        return cls(kind, key)


class Model(BaseModel):
    """An immutable value that can be written to a row and read back."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def model_validate_json(
        cls, json_data: str | bytes | bytearray, *, strict: bool | None = None, extra: ExtraValues | None = "ignore",
        context: object = None, by_alias: bool | None = None, by_name: bool | None = None,
    ) -> Self:  # fmt: skip
        """Read back. Fields it does not have are of a newer version, whose replica wrote them: they are left out."""
        return super().model_validate_json(
            json_data, strict=strict, extra=extra, context=context, by_alias=by_alias, by_name=by_name
        )


class Command(Model, Generic[Answer]):
    """Asked; answered by the turn that applies it. `Command[TaskView]` is answered with a `TaskView`."""


class Message(Model):
    """Sent; applied exactly once, in order per sender."""


class Birth(Model):
    """Mixed into the command or message that creates an actor: who its parent is, and where its problems go."""

    parent: Address | None = None
    scope: ScopeId = APP


class Event(Model):
    """Published on the owning actor's topic. Carries the whole new state of the thing it names.

    `entity` is that thing's id within the topic; `person` limits who may see it.
    """

    entity: str = ""
    repository: str | None = None
    person: str | None = None

    word: ClassVar[str] = ""


def utc(milliseconds: int) -> datetime:
    """The moment `milliseconds` after the Unix epoch."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def millis(moment: datetime) -> int:
    """Unix time in milliseconds."""
    return round(moment.timestamp() * 1000)
