"""Legal transitions. A table of states is the only one; what it does not allow is refused."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from foundry.contracts.errors import WrongState
from foundry.contracts.task import TaskState

TASK: dict[TaskState, frozenset[TaskState]] = {
    TaskState.PROVISIONING: frozenset({TaskState.READY, TaskState.FAILED, TaskState.ARCHIVED}),
    TaskState.FAILED: frozenset({TaskState.PROVISIONING, TaskState.ARCHIVED}),
    TaskState.READY: frozenset({TaskState.PROVISIONING, TaskState.ARCHIVED}),  # provisioning: its sandbox was lost
    TaskState.ARCHIVED: frozenset(),
}

State = TypeVar("State", bound=StrEnum)


def advance(table: Mapping[State, frozenset[State]], what: str, now: State, to: State) -> State:
    """The new state, if the table allows it.

    Raises:
        WrongState: it does not.
    """
    if to not in table[now]:
        raise WrongState(f"{what} is {now.value} and cannot become {to.value}")
    return to
