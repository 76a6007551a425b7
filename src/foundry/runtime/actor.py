"""Actor: a class with a kind, whose methods and parts are turns; and the registry of all kinds.

An actor has no memory: its state is its tables, so a turn that fails leaves nothing behind. One instance serves all
actors of the kind. The first thing an actor gets is its create; anything else before it fails, anything after its
end is dropped and counted.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar, TypeVar, cast, get_type_hints

from pydantic import TypeAdapter

from foundry.contracts.messages import Address, Birth, Command, Message, Model
from foundry.runtime.turn import Turn

M = TypeVar("M", bound="Callable[..., Any]")

_MARK = "__foundry_handles__"


class RegistrationError(Exception):
    """A mistake in how actors, workflows or workers are declared; raised at start-up."""


@dataclass(frozen=True)
class _Marked:
    word: type[Model] | str
    creates: bool = False


class Actor:
    """Base of every actor kind. The class's name is the kind's."""

    topic: ClassVar[str] = ""  # the name clients watch it under; none: it publishes nothing
    parts: ClassVar[Sequence[ModuleType]] = ()  # modules of `@handles` functions (turn, command)
    config: object = None  # what the parts are given as `turn.config`
    keeps_events: ClassVar[bool] = False  # its events are its state (a transcript), never purged by age

    def after_turn(self, turn: Turn) -> None:
        """What every turn ends with, whichever handler it had: what follows from the rows as they are now."""

    def view(self, turn: Turn) -> object:
        """The answer to commands whose handler returns nothing: the actor as this turn has made it."""
        raise NotImplementedError(f"{type(self).__name__} has no view")


def handles(word: type[Command[Any]]) -> Callable[[M], M]:
    """This method or function answers the command. Signature: (self, turn, command) -> answer, a part's without self.

    One that returns nothing to a command with an answer is answered with the actor's `view`.
    """
    return _mark(_Marked(word))


def receives(word: type[Message]) -> Callable[[M], M]:
    """This method applies the message. Signature: (self, turn, message) -> None."""
    return _mark(_Marked(word))


def creates(word: type[Command[Any]] | type[Message]) -> Callable[[M], M]:
    """This method applies the actor's first word, and the same word again later (`turn.born` tells which)."""
    return _mark(_Marked(word, creates=True))


def due(name: str) -> Callable[[M], M]:
    """This method runs when the schedule of this name falls due. Signature: (self, turn) -> None."""
    return _mark(_Marked(name))


def _mark(mark: _Marked) -> Callable[[M], M]:
    def decorate(method: M) -> M:
        if inspect.iscoroutinefunction(method):
            raise RegistrationError(f"{method.__qualname__}: a turn is a plain def; it cannot await")
        marks = getattr(method, _MARK, ())
        setattr(method, _MARK, (*marks, mark))
        return method

    return decorate


@dataclass(frozen=True)
class Handler:
    """How one word is applied."""

    word: type[Model]
    creates: bool
    call: Callable[[Turn, Model], object]
    answer: TypeAdapter[object]
    answers_with_view: bool = False  # the handler returns nothing: the actor's `view` is the answer


@dataclass
class ActorKind:
    """One actor kind as the runtime knows it."""

    name: str
    actor: Actor
    handlers: dict[type[Model], Handler] = field(default_factory=dict[type[Model], Handler])
    words: dict[str, Handler] = field(default_factory=dict[str, Handler])
    schedules: dict[str, Callable[[Turn], None]] = field(default_factory=dict[str, "Callable[[Turn], None]"])

    def handler(self, word: type[Model]) -> Handler:
        try:
            return self.handlers[word]
        except KeyError:
            raise RegistrationError(f"{self.name} does not handle {word.__name__}") from None


def kind_of(actor: Actor) -> ActorKind:
    """Read the marks of an actor's methods.

    Raises:
        RegistrationError: two methods for one word, or a create whose word carries no `Birth`.
    """
    kind = ActorKind(type(actor).__name__, actor)
    for method in _marked(actor):
        for mark in cast("tuple[_Marked, ...]", getattr(method, _MARK)):
            if isinstance(mark.word, str):
                kind.schedules[mark.word] = method
                continue
            if mark.word in kind.handlers:
                raise RegistrationError(f"{kind.name} handles {mark.word.__name__} twice")
            if mark.creates and not issubclass(mark.word, Birth):
                raise RegistrationError(f"{mark.word.__name__} creates a {kind.name} but is no Birth")
            returns = get_type_hints(method).get("return", type(None))
            wanted = answer_of(mark.word)
            by_view = returns is type(None) and wanted is not type(None)
            handler = Handler(mark.word, mark.creates, method, TypeAdapter(wanted if by_view else returns), by_view)
            kind.handlers[mark.word] = kind.words[mark.word.__name__] = handler
    return kind


def answer_of(message: type[Model]) -> Any:
    """The answer type of a command class: the argument of its `Command[...]` base."""
    for base in message.__mro__:
        arguments = getattr(base, "__pydantic_generic_metadata__", {}).get("args")
        if arguments:
            return type(None) if arguments[0] is None else arguments[0]
    return type(None)


def _marked(actor: Actor) -> list[Callable[..., Any]]:
    """The handlers of an actor: its own methods, and the functions of its parts."""
    found = [method for _, method in inspect.getmembers(actor, inspect.ismethod)]
    for part in actor.parts:
        found += [one for _, one in inspect.getmembers(part, inspect.isfunction) if one.__module__ == part.__name__]
    return [one for one in found if hasattr(one, _MARK)]


class Registry:
    """All actor kinds of this process, by name."""

    def __init__(self, kinds: Sequence[Actor]) -> None:
        self.kinds = {kind.name: kind for kind in map(kind_of, kinds)}

    def kind(self, address: Address) -> ActorKind:
        try:
            return self.kinds[address.kind]
        except KeyError:
            raise RegistrationError(f"no actor kind is called {address.kind}") from None
