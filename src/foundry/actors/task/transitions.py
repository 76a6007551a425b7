"""A task's legal transitions, and what is worked out from its prompt. Pure functions."""

from __future__ import annotations

import re
import unicodedata

from foundry.contracts.errors import WrongState
from foundry.contracts.task import TaskState

NEXT: dict[TaskState, frozenset[TaskState]] = {
    TaskState.PROVISIONING: frozenset({TaskState.READY, TaskState.FAILED, TaskState.ARCHIVED}),
    TaskState.FAILED: frozenset({TaskState.PROVISIONING, TaskState.ARCHIVED}),
    TaskState.READY: frozenset({TaskState.PROVISIONING, TaskState.ARCHIVED}),  # provisioning: its sandbox was lost
    TaskState.ARCHIVED: frozenset(),
}

SLUG = 40  # characters of a branch made from a title


def advance(now: TaskState, to: TaskState) -> TaskState:
    """The new state, if the table allows it.

    Raises:
        WrongState: it does not.
    """
    if to not in NEXT[now]:
        raise WrongState(f"the task is {now.value} and cannot become {to.value}")
    return to


def branch_from(title: str) -> str:
    """A branch name made from a title: `foundry/` and a slug that git takes."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if len(slug) > SLUG:
        slug = slug[:SLUG].rsplit("-", 1)[0]
    return f"foundry/{slug or 'task'}"
