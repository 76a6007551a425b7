"""Snapshot + events = fresh snapshot, for all seven topics.

`Topics` keeps a picture of every actor's topic. It begins with nothing when the actor is born, or with a snapshot where
the test begins later, and is changed by events alone. A check compares each picture with a fresh one, read in the same
database snapshot as the events, so it holds at any moment, whatever else goes on. There are two pictures: of a watcher,
who is told what is committed, and of somebody who catches up from the stored events.

The list of organizations on `app` is read from another actor's rows. So a check first waits until AppShell has taken
every `OrganizationListed` that was sent to it.
"""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from sqlalchemy import select

from foundry.actors.app_shell import views as app_shell
from foundry.actors.github_state.views import pull_requests
from foundry.actors.organization import views as organizations
from foundry.actors.organization.tables import organizations as organization_rows
from foundry.actors.repository import views as repositories
from foundry.actors.sandbox_instance.views import sandbox_snapshot
from foundry.actors.task.views import task_view
from foundry.actors.task_session.tables import session_people
from foundry.actors.task_session.views import personal_view, session_snapshot
from foundry.contracts import addresses
from foundry.contracts.github_access import AccessChanged
from foundry.contracts.github_state import PullRequestChanged, PullRequestState
from foundry.contracts.ids import OrganizationId, RepositoryId, SandboxId, SessionId, TaskId, UserId
from foundry.contracts.messages import Address, Event
from foundry.contracts.organization import IssuesChanged, OrganizationChanged, OrganizationListed, RepositoriesChanged
from foundry.contracts.repository import RepositoryChanged
from foundry.contracts.sandbox_instance import SandboxChanged
from foundry.contracts.task import TaskChanged, TaskListed, TaskSummary
from foundry.contracts.task_session import (
    Entry,
    EntryChanged,
    EntryKind,
    MessageDelta,
    PersonalChanged,
    SessionChanged,
)
from foundry.runtime.columns import AnyRow
from foundry.runtime.reader import Reader
from foundry.runtime.runtime import Runtime
from foundry.runtime.store.tables import actors, mailbox
from foundry.runtime.topic import Published
from tests.listening import listen
from tests.waiting import eventually

Picture = dict[str, Any]
"""What a client keeps of a topic, by the names of the snapshot's parts."""


class Topic(Protocol):
    """How a client keeps one topic's picture."""

    def empty(self) -> Picture: ...
    def read(self, reader: Reader, key: str) -> Picture: ...
    def fold(self, picture: Picture, event: AnyRow | Published) -> None: ...


def _listed(live: list[TaskSummary], archived: list[TaskSummary]) -> dict[str, TaskSummary]:
    """The tasks of both lists, each of which a client can put in order itself: the newest first."""
    for tasks, over in ((live, False), (archived, True)):
        assert tasks == sorted(tasks, key=lambda task: (task.created_at, task.id), reverse=True)
        assert all((task.archived is not None) is over for task in tasks)
    return {task.id: task for task in live + archived}


def _event(event: AnyRow | Published, *kinds: type[Event]) -> Event:
    for kind in kinds:
        if kind.__name__ == event.word:
            return kind.model_validate_json(event.body)
    raise AssertionError(f"no client knows the event {event.word}")


class App:
    """The organizations that have the App installed, and the issues of scope `app`."""

    def empty(self) -> Picture:
        return {"organizations": [], "issues": []}

    def read(self, reader: Reader, key: str) -> Picture:
        return {"organizations": organizations.organizations(reader), "issues": app_shell.issues(reader)}

    def fold(self, picture: Picture, event: AnyRow | Published) -> None:
        if event.word in ("InstallationsChanged", "AccessChanged"):
            return  # whoever watches looks again
        if event.word == "CredentialsEnded":
            return  # for the streams of one person, which close; no client is told
        found = _event(event, IssuesChanged, OrganizationChanged)
        if isinstance(found, IssuesChanged):
            picture["issues"] = found.issues
        elif isinstance(found, OrganizationChanged):
            new = found.organization
            others = [one for one in picture["organizations"] if one.id != new.id]
            picture["organizations"] = sorted([*others, *[new] * new.active], key=lambda one: one.login.lower())


class Organization:
    """The organization, its repositories and issues, and its tasks: the archived ones apart."""

    def empty(self) -> Picture:
        return {"organization": None, "tasks": {}, "repositories": [], "issues": []}

    def read(self, reader: Reader, key: str) -> Picture:
        id = OrganizationId(key)
        return {
            "organization": organizations.organization_view(reader, id),
            "tasks": _listed(organizations.task_list(reader, id), organizations.task_list(reader, id, archived=True)),
            "repositories": organizations.repository_list(reader, id),
            "issues": organizations.issues(reader, id),
        }

    def fold(self, picture: Picture, event: AnyRow | Published) -> None:
        found = _event(event, OrganizationChanged, TaskListed, RepositoriesChanged, IssuesChanged)
        if isinstance(found, OrganizationChanged):
            picture["organization"] = found.organization
        elif isinstance(found, TaskListed):
            picture["tasks"][found.task.id] = found.task
        elif isinstance(found, RepositoriesChanged):
            picture["repositories"] = found.repositories
        elif isinstance(found, IssuesChanged):
            picture["issues"] = found.issues


class PullRequests:
    """The organization's open pull requests."""

    def empty(self) -> Picture:
        return {"pull_requests": {}}

    def read(self, reader: Reader, key: str) -> Picture:
        found = pull_requests(reader, OrganizationId(key))
        return {"pull_requests": {(one.repository, one.number): one for one in found}}

    def fold(self, picture: Picture, event: AnyRow | Published) -> None:
        found = _event(event, PullRequestChanged, AccessChanged)
        if isinstance(found, PullRequestChanged):
            one = found.pull_request
            picture["pull_requests"].pop((one.repository, one.number), None)
            if one.state is PullRequestState.OPEN:
                picture["pull_requests"][one.repository, one.number] = one


class Repository:
    def empty(self) -> Picture:
        return {"repository": None, "tasks": {}}

    def read(self, reader: Reader, key: str) -> Picture:
        id = RepositoryId(key)
        tasks = _listed(repositories.task_list(reader, id), repositories.task_list(reader, id, archived=True))
        return {"repository": repositories.repository_view(reader, id), "tasks": tasks}

    def fold(self, picture: Picture, event: AnyRow | Published) -> None:
        found = _event(event, RepositoryChanged, TaskListed)
        if isinstance(found, RepositoryChanged):
            picture["repository"] = found.ref
        elif isinstance(found, TaskListed):
            picture["tasks"][found.task.id] = found.task


class Task:
    def empty(self) -> Picture:
        return {"task": None}

    def read(self, reader: Reader, key: str) -> Picture:
        return {"task": task_view(reader, TaskId(key))}

    def fold(self, picture: Picture, event: AnyRow | Published) -> None:
        picture["task"] = cast(TaskChanged, _event(event, TaskChanged)).task


class Session:
    """The session, its transcript, and what each person keeps in it."""

    def empty(self) -> Picture:
        return {"session": None, "transcript": {}, "mine": {}}

    def read(self, reader: Reader, key: str) -> Picture:
        id = SessionId(key)
        _, session, transcript = session_snapshot(reader, id)
        assert transcript == sorted(transcript, key=lambda entry: (entry.position, entry.part))
        people = reader.all(select(session_people.c.person).where(session_people.c.session == key))
        mine = {row.person: personal_view(reader, id, UserId(row.person)) for row in people}
        return {
            "session": session,
            "transcript": {entry.id: entry for entry in transcript},
            "mine": {person: (one.draft, one.read_position, one.unread) for person, one in mine.items()},
        }

    def fold(self, picture: Picture, event: AnyRow | Published) -> None:
        found = _event(event, SessionChanged, EntryChanged, MessageDelta, PersonalChanged)
        if isinstance(found, SessionChanged):
            picture["session"] = found.session
        elif isinstance(found, PersonalChanged):
            assert found.person is not None, "it would go to everybody"
            picture["mine"][found.person] = (found.draft, found.read_position, 0)
        else:
            fold(picture["transcript"], found)

    @staticmethod
    def counted(picture: Picture) -> Picture:
        """With what each person has not read yet, which a client counts itself."""
        news = [e.position for e in picture["transcript"].values() if e.kind in (EntryKind.AGENT, EntryKind.PERMISSION)]
        mine = {
            person: (draft, read, sum(position > read for position in news))
            for person, (draft, read, _) in picture["mine"].items()
        }
        return {**picture, "mine": mine}


class Sandbox:
    def empty(self) -> Picture:
        return {"sandbox": None}

    def read(self, reader: Reader, key: str) -> Picture:
        return {"sandbox": sandbox_snapshot(reader, SandboxId(key))[1]}

    def fold(self, picture: Picture, event: AnyRow | Published) -> None:
        picture["sandbox"] = cast(SandboxChanged, _event(event, SandboxChanged)).sandbox


TOPICS: dict[str, Topic] = {
    "AppShell": App(),
    "Organization": Organization(),
    "GitHubState": PullRequests(),
    "Repository": Repository(),
    "Task": Task(),
    "TaskSession": Session(),
    "SandboxInstance": Sandbox(),
}
"""By the kind of the actor that publishes on it."""


ORGANIZATIONS_TO_LIST = select(mailbox.c.id).where(
    mailbox.c.receiver == str(addresses.app_shell()),
    mailbox.c.word == OrganizationListed.__name__,
    mailbox.c.set_aside_at.is_(None),
)


def fold(entries: dict[str, Entry], event: Event) -> None:
    """Apply one event of a session's topic to its transcript, as every client does.

    Raises:
        ValueError: a delta does not fit the text so far; take a fresh snapshot.
    """
    if isinstance(event, EntryChanged):
        entries[event.entry.id] = event.entry
    elif isinstance(event, MessageDelta):
        known = entries.get(event.entity)
        if known is None and event.offset == 0:
            known = Entry(id=event.entity, position=event.position, kind=event.kind, complete=False, at=event.at)
        if known is None or len(known.text) != event.offset:
            raise ValueError(f"a delta at {event.offset} does not fit entry {event.entity}")
        entries[event.entity] = known.model_copy(update={"text": known.text + event.text})


@dataclass
class _Kept:
    """One actor's topic as two clients have it."""

    version: int
    watched: Picture
    caught_up: Picture
    told: list[Published] = field(default_factory=list[Published])  # to the watcher, not yet applied


@dataclass(frozen=True)
class _Fresh:
    address: Address
    version: int
    picture: Picture
    events: Sequence[AnyRow]  # since the last check


class Topics:
    """The pictures of every topic there is.

    Args:
        played: actor kinds that a test plays; their topics are not looked at.
    """

    def __init__(self, runtime: Runtime, played: Sequence[str] = ()) -> None:
        self._runtime = runtime
        self._topics = {kind: topic for kind, topic in TOPICS.items() if kind not in played}
        self._kept: dict[Address, _Kept] = {}
        self._told: dict[Address, list[Published]] = defaultdict(list)
        self._checking = asyncio.Lock()
        listen(runtime, self._hear)

    def _hear(self, address: Address, events: Sequence[Published]) -> None:
        if address.kind in self._topics:
            self._told[address].extend(events)

    async def begin(self) -> None:
        """Take a snapshot of what there is already."""
        for fresh in await eventually(lambda: self._runtime.read(self._fresh), lambda read: read is not None) or ():
            self._kept[fresh.address] = _Kept(fresh.version, copy.deepcopy(fresh.picture), copy.deepcopy(fresh.picture))

    async def check(self) -> None:
        """Every picture, changed by the events since the last check, is what a fresh snapshot shows."""
        async with self._checking:
            found = await eventually(lambda: self._runtime.read(self._fresh), lambda read: read is not None)
            for fresh in found or ():
                await self._check(fresh)

    async def _check(self, fresh: _Fresh) -> None:
        topic, told = self._topics[fresh.address.kind], self._told[fresh.address]
        kept = self._kept.setdefault(fresh.address, _Kept(0, topic.empty(), topic.empty()))
        if fresh.version > kept.version:
            await eventually(lambda: told[-1].version if told else 0, lambda version: version >= fresh.version)
        for event in told:
            if kept.version < event.version <= fresh.version:
                topic.fold(kept.watched, event)
        self._told[fresh.address] = [event for event in told if event.version > fresh.version]
        for event in fresh.events:
            topic.fold(kept.caught_up, event)
        kept.version = fresh.version
        for who, picture in (("who watches", kept.watched), ("who catches up", kept.caught_up)):
            _same(f"{fresh.address} for one {who}", topic, picture, fresh.picture)

    def _fresh(self, reader: Reader) -> list[_Fresh] | None:
        """Every topic; None while AppShell has yet to take a message about an organization."""
        if reader.all(ORGANIZATIONS_TO_LIST):
            return None
        query = select(actors.c.actor, actors.c.version).where(
            actors.c.kind.in_(self._topics), actors.c.deleted_at.is_(None)
        )
        found: list[_Fresh] = []
        for actor, version in reader.all(query):
            address = Address.parse(actor)
            if address.kind == "Organization" and not _is_made(reader, address):
                continue  # it has only heard of issues so far
            kept = self._kept.get(address)
            picture = self._topics[address.kind].read(reader, address.key)
            events = reader.events(address, after=kept.version if kept else 0)
            found.append(_Fresh(address, version, picture, events))
        return found


def _is_made(reader: Reader, address: Address) -> bool:
    c = organization_rows.c
    return reader.first(select(c.organization).where(c.organization == address.key)) is not None


def _same(what: str, topic: Topic, picture: Picture, fresh: Picture) -> None:
    shown = topic.counted(picture) if isinstance(topic, Session) else picture
    for part, value in fresh.items():
        assert shown[part] == value, f"the {part} of {what}:\n{shown[part]!r}\nfresh:\n{value!r}"
