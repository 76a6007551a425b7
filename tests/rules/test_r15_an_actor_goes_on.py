"""R15: an actor that tells another to do something enqueues it and goes on; a turn has no way to wait."""

from __future__ import annotations

import inspect

import pytest

from foundry.app import house
from foundry.contracts.messages import Command
from foundry.runtime.actor import Actor, RegistrationError, Registry, handles
from foundry.runtime.turn import Turn


class Wish(Command[None]): ...


def test_a_handler_that_could_await_is_refused() -> None:
    with pytest.raises(RegistrationError, match="plain def"):

        class Waiting(Actor):
            @handles(Wish)
            async def wish(self, turn: Turn, command: Wish) -> None: ...


def test_a_turn_offers_nothing_to_wait_for() -> None:
    offered = {name for name in dir(Turn) if not name.startswith("_")}
    assert not offered & {"ask", "call", "wait", "sleep", "read", "http", "doors", "runtime"}
    assert not [name for name in offered if inspect.iscoroutinefunction(getattr(Turn, name))]


def test_no_turn_of_ours_is_a_coroutine() -> None:
    for kind in Registry(house().actors).kinds.values():
        calls = [handler.call for handler in kind.handlers.values()] + list(kind.schedules.values())
        assert not [call for call in calls if inspect.iscoroutinefunction(call)]
