"""The world of the lookup and GitHub actors: nothing outside, and tasks that the test plays."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any

from foundry.actors.app_shell.views import app_session
from foundry.contracts import addresses
from foundry.contracts.ids import TaskId, UserId
from foundry.contracts.issues import Failure, IssueKind
from foundry.contracts.messages import Birth, Command, ScopeId
from foundry.contracts.task import Phase, PullRequestSeen, TaskState, TaskSummary
from foundry.contracts.task_branch import BranchMoved
from foundry.runtime.actor import Actor, creates, receives
from foundry.runtime.reader import Reader
from foundry.runtime.turn import Turn
from tests.world.outside import Outside
from tests.world.world import ADA, ORGANIZATION, REPOSITORY, World, world

ORG, TALLY, REPO = ORGANIZATION, REPOSITORY, REPOSITORY.id
T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

__all__ = [
    "ADA",
    "ORG",
    "REPO",
    "T0",
    "TALLY",
    "begin_task",
    "failure",
    "heard_by",
    "line",
    "person_of_token",
    "tally_tree",
    "tree",
]


class Begin(Command[None], Birth):
    """Let a task exist."""


class Task(Actor):
    """Stands where a Task is: the test says what it tells others, and `World.sent` what it hears."""

    @creates(Begin)
    def begin(self, turn: Turn, command: Begin) -> None: ...

    @receives(BranchMoved)
    def branch_moved(self, turn: Turn, message: BranchMoved) -> None: ...

    @receives(PullRequestSeen)
    def pull_request_seen(self, turn: Turn, message: PullRequestSeen) -> None: ...


def person_of_token(reader: Reader, token_hash: str, now: datetime | None = None) -> UserId | None:
    """Who is signed in with this app session's token; None if it is unknown or has ended."""
    found = app_session(reader, token_hash, now or datetime.now(UTC))
    return None if found is None or found.ended else found.user


def tree(url: str, outside: Outside | None = None, *played: Actor, **more: Any) -> AbstractAsyncContextManager[World]:
    """Before GitHub's sync has found anything.

    Args:
        played: actors in the place of the usual ones.
        more: for the house.
    """
    return world(url, outside or Outside(), repositories=(), played=(Task(), *played), **more)


def tally_tree(url: str) -> AbstractAsyncContextManager[World]:
    """With the organization lumen-works and its repository tally."""
    return world(url, Outside(), played=(Task(),))


async def heard_by(stage: World, task: str) -> list[PullRequestSeen]:
    """What this task was told of pull requests."""
    return await stage.sent(addresses.task(TaskId(task)), PullRequestSeen)


async def begin_task(stage: World, task: str = "tsk_1") -> None:
    await stage.ask(addresses.task(TaskId(task)), Begin(scope=ScopeId(ORG)))


def line(number: int, *, title: str = "", second: int = 0, **more: Any) -> TaskSummary:
    """A task's line as it was `second` seconds after its creation."""
    return TaskSummary(
        id=TaskId(f"tsk_{number}"),
        repository=TALLY,
        title=title or f"Task {number}",
        state=more.pop("state", TaskState.PROVISIONING),
        phase=Phase.NAMING,
        phase_since=T0,
        created_by=ADA,
        created_at=T0.replace(minute=number),
        changed_at=T0.replace(minute=number, second=second),
        **more,
    )


def failure(fingerprint: str, message: str = "it broke", **more: Any) -> Failure:
    return Failure(
        kind=more.pop("kind", IssueKind.STEP_RETRYING),
        actor="Task:tsk_1",
        scope=more.pop("scope", ScopeId(ORG)),
        fingerprint=fingerprint,
        message=message,
        **more,
    )
