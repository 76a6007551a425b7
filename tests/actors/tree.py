"""A stage for the lookup and GitHub actors: the real runtime, the six kinds, and a task that notes what it hears.

`unfolded` is what every command's test may end with: an old snapshot and the events since then give the fresh one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from sqlalchemy import Column, Integer, String, Text, select

from foundry.actors.app_shell.actor import AppShell
from foundry.actors.github_state.actor import GitHubState
from foundry.actors.github_state.workflows import WORKFLOWS
from foundry.actors.history.actor import History
from foundry.actors.organization import views as organization_views
from foundry.actors.organization.actor import Organization
from foundry.actors.repository import views as repository_views
from foundry.actors.repository.actor import Repository
from foundry.actors.user_github_data.actor import UserGitHubData
from foundry.contracts import addresses
from foundry.contracts.app_shell import OpenAppShell
from foundry.contracts.ids import OrganizationId, RepositoryId, TaskId, UserId
from foundry.contracts.issues import Failure, IssueKind
from foundry.contracts.messages import Address, Birth, Command, Event, Message, ScopeId
from foundry.contracts.organization import (
    IssuesChanged,
    IssueView,
    OrganizationChanged,
    OrganizationSeen,
    OrganizationView,
    RepositoriesChanged,
    RepositoriesSeen,
)
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef, RepositorySeen
from foundry.contracts.task import Phase, PullRequestSeen, TaskListed, TaskSeen, TaskState, TaskSummary
from foundry.contracts.task_branch import BranchMoved
from foundry.runtime.actor import Actor, creates, handles, receives
from foundry.runtime.runtime import House, Runtime
from foundry.runtime.store.tables import mailbox, owned_table
from foundry.runtime.turn import Reader, Turn
from foundry.runtime.workflow.flow import Workflows
from tests.runtime.toys import open_store, workflow_url
from tests.waiting import eventually

T = TypeVar("T")

ORG = OrganizationId("2001")
REPO = RepositoryId("4001")
ADA = Person(id=UserId("1001"), login="ada", name="Ada Byron")
TALLY = RepositoryRef(
    id=REPO, organization=ORG, owner="lumen-works", name="tally", clone_url="http://x/lumen-works/tally.git"
)
T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

heard = owned_table(
    "Task",
    "tree_heard",
    Column("task", String, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("word", String, nullable=False),
    Column("body", Text, nullable=False),
)


class Begin(Command[None], Birth):
    """Let a task exist."""


class Say(Command[None]):
    """Let a task (or whoever is asked) send a message, as its own turn would."""

    to: Address
    seen: TaskSeen | OrganizationSeen | RepositoriesSeen | RepositorySeen | PullRequestSeen


class Task(Actor):
    """Stands where a Task is: notes what comes, says what it is told to say."""

    @creates(Begin)
    def begin(self, turn: Turn, command: Begin) -> None: ...

    @handles(Say)
    def say(self, turn: Turn, command: Say) -> None:
        turn.send(Address(*command.to), cast(Message, command.seen))

    @receives(BranchMoved)
    def branch_moved(self, turn: Turn, message: BranchMoved) -> None: ...

    @receives(PullRequestSeen)
    def pull_request_seen(self, turn: Turn, message: PullRequestSeen) -> None:
        turn.insert(heard, number=len(turn.all(heard)), word="PullRequestSeen", body=message.model_dump_json())


def house(workflows: Workflows) -> House:
    kinds = (AppShell(), GitHubState(), UserGitHubData(), Organization(), Repository(), History(), Task())
    return House(kinds, addresses.coordinator, workflows)


class Tree:
    """The running stage."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.ask = runtime.ask
        self.read = runtime.read

    async def say(self, *words: Any, to: Address, sender: str = "tsk_1") -> None:
        """Send messages as that task would, and wait until they are applied."""
        await self.ask(Address("Task", sender), Begin(scope=ScopeId(ORG)))
        for word in words:
            await self.ask(Address("Task", sender), Say(to=to, seen=word))
        await self.quiet()

    async def quiet(self) -> None:
        """Wait until every mailbox is empty, messages that were set aside excepted."""
        query = select(mailbox.c.receiver, mailbox.c.word, mailbox.c.error).where(mailbox.c.set_aside_at.is_(None))
        await eventually(lambda: self.read(lambda r: r.all(query)), lambda rows: not rows, limit=20.0)

    async def heard_by(self, task: str) -> list[PullRequestSeen]:
        query = select(heard.c.body).where(heard.c.task == task).order_by(heard.c.number)
        return [PullRequestSeen.model_validate_json(row.body) for row in await self.read(lambda r: r.all(query))]

    async def events(self, address: Address, after: int = 0) -> list[tuple[str, str]]:
        """The words of a topic's events and their JSON."""
        rows = await self.read(lambda r: r.events(address, after))
        return [(row.word, row.body) for row in rows]

    async def snapshot(self, view: Callable[[Reader], T], address: Address) -> tuple[int, T]:
        return await self.read(lambda r: (r.version(address), view(r)))


@asynccontextmanager
async def tree(url: str, doors: Callable[[Runtime], Any] | None = None) -> AsyncIterator[Tree]:
    """The stage on this database, AppShell open; workflows run where something makes doors for them."""
    workflows = Workflows().add(*WORKFLOWS) if doors else Workflows()
    runtime = Runtime(house(workflows), open_store(url), workflow_url=workflow_url(url) if doors else None)
    await runtime.start(doors(runtime) if doors else None)  # type: ignore[arg-type]
    try:
        await runtime.ask(addresses.app_shell(), OpenAppShell())
        yield Tree(runtime)
    finally:
        await runtime.stop()


@asynccontextmanager
async def tally_tree(url: str) -> AsyncIterator[Tree]:
    """The stage with the organization lumen-works and its repository tally."""
    async with tree(url) as stage:
        organization = addresses.organization(ORG)
        here = OrganizationSeen(parent=addresses.app_shell(), scope=ScopeId(ORG), id=ORG, login="lumen-works")
        await stage.say(here, RepositoriesSeen(repositories=[TALLY]), to=organization)
        seen = RepositorySeen(parent=organization, scope=ScopeId(ORG), repository=TALLY)
        await stage.say(seen, to=addresses.repository(REPO))
        yield stage


class Picture:
    """A watcher's picture of an organization's or a repository's topic: a snapshot, kept by events alone."""

    def __init__(self) -> None:
        self.version = 0
        self.tasks: dict[str, TaskSummary] = {}
        self.repositories: list[RepositoryRef] = []
        self.issues: list[IssueView] = []
        self.organization: OrganizationView | None = None

    def fold(self, word: str, body: str) -> None:
        events: dict[str, type[Event]] = {
            e.__name__: e for e in (TaskListed, RepositoriesChanged, IssuesChanged, OrganizationChanged)
        }
        event = events[word].model_validate_json(body)
        if isinstance(event, TaskListed):
            self.tasks[event.task.id] = event.task
        elif isinstance(event, RepositoriesChanged):
            self.repositories = event.repositories
        elif isinstance(event, IssuesChanged):
            self.issues = event.issues
        elif isinstance(event, OrganizationChanged):
            self.organization = event.organization

    def shown(self) -> tuple[Any, ...]:
        tasks = sorted(self.tasks.values(), key=lambda t: (t.created_at, t.id), reverse=True)
        live = [task for task in tasks if task.archived is None]
        old = [task for task in tasks if task.archived is not None]
        return live, old, self.repositories, self.issues, self.organization


def organization_shown(reader: Reader) -> tuple[Any, ...]:
    return (
        organization_views.task_list(reader, ORG),
        organization_views.task_list(reader, ORG, archived=True),
        organization_views.repository_list(reader, ORG),
        organization_views.issues(reader, ORG),
        organization_views.organization_view(reader, ORG),
    )


def repository_shown(reader: Reader) -> tuple[Any, ...]:
    live = repository_views.task_list(reader, REPO)
    return live, repository_views.task_list(reader, REPO, archived=True), [], [], None


async def unfolded(stage: Tree, address: Address, shown: Callable[[Reader], tuple[Any, ...]]) -> None:
    """All events of the topic, from the first, give what a fresh snapshot shows."""
    picture = Picture()
    for word, body in await stage.events(address):
        picture.fold(word, body)
    assert picture.shown() == await stage.read(shown)


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
