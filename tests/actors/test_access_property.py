"""In whatever order GitHub's changes, webhooks, listings and answers come, nobody reads what GitHub denied for longer
than the table of DESIGN section 6 says, and nobody is locked out who has the right.

A model of GitHub says what each person might do at each moment. One server asks as the edge does (`Sees` and
`AccessAsker`). Another one works beside it step by step, so that its questions, answers and pages come late, twice,
interleaved or never. Clock, rights and webhooks are the test's; turns and views are Foundry's.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from foundry.actors.github_state.access_views import Asking
from foundry.actors.github_state.tables import github_states
from foundry.api.access_asker import AccessAsker
from foundry.api.auth import Me
from foundry.api.metrics import Metrics
from foundry.api.sees import Sees
from foundry.contracts import addresses
from foundry.contracts.github_access import (
    EVERYBODY,
    TIMES,
    BeginListing,
    ListedPage,
    Outdated,
    Place,
    Reached,
    RecordAnswer,
    RecordListingPage,
    Right,
    Role,
    SingleRight,
)
from foundry.contracts.github_payloads import GitHubAccount
from foundry.contracts.github_state import (
    Delivered,
    HookPayload,
    HookRepository,
    InstallationGranted,
    InstallationRevoked,
    InstallationSummary,
    NotInstalled,
    RecordRepositories,
    SyncInstallations,
)
from foundry.contracts.ids import OrganizationId, RepositoryId, UserId
from foundry.contracts.messages import APP, Message, ScopeId
from foundry.contracts.people import Access, Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.user_github_data import StoreIdentity
from foundry.github.errors import GitHubUnavailable
from foundry.runtime.reader import Reader
from foundry.runtime.store.tables import mailbox
from tests.waiting import eventually
from tests.world.outside import Outside
from tests.world.world import World, world

PAGE = 2  # repositories on a page of a listing
ANN, BOB, CY = (Person(id=UserId(str(id)), login=login) for id, login in ((71, "ann"), (72, "bob"), (73, "cy")))
PEOPLE = (ANN, BOB, CY)  # Cy has no usable token
REPOSITORIES = 5  # the last one is public at first
LEVELS = (Access.NONE, Access.READ, Access.WRITE)
START = datetime(2026, 3, 1, tzinfo=UTC)
TICK = 1  # milliseconds that every step takes

numbers = itertools.count(9000)


# GitHub


@dataclass
class Webhook:
    """What GitHub tells: whose rights to what have changed. None: everybody's, or to each."""

    person: Person | None
    repository: int | None
    message: Message


class Clock:
    """The time of GitHub and of both servers; it never goes back."""

    def __init__(self) -> None:
        self.at = 0  # milliseconds

    def now(self) -> datetime:
        return START + timedelta(milliseconds=self.at)

    def pass_(self, milliseconds: int) -> None:
        self.at += milliseconds


class GitHub:
    """`AccessDoor` on a model: rights, base permission, App, with everything that ever held.

    A listing has the repositories to which a person has a right of their own. Who may only read what is public has
    none, and the answer about one repository does not tell the two apart.
    """

    def __init__(self, clock: Clock, installation: int) -> None:
        self.clock, self.installation = clock, installation
        self.repositories = [RepositoryId(str(next(numbers))) for _ in range(REPOSITORIES)]
        self.public = {self.repositories[-1]}
        self.own: dict[tuple[UserId, RepositoryId], Access] = {}
        self.base = Access.NONE  # of Ann, who is a member
        self.installed, self.away = True, False
        self.history: dict[tuple[UserId, RepositoryId], list[tuple[int, Access]]] = {}
        self.later: list[tuple[int, Callable[[], None]]] = []  # changes after so many more answers
        self.asked = 0
        self._remember()

    def right_of(self, person: UserId, repository: RepositoryId) -> Access:
        if not self.installed:
            return Access.NONE
        own = self.own.get((person, repository), Access.NONE)
        base = self.base if person == ANN.id else Access.NONE
        return max(own, base, key=LEVELS.index)

    def change(self, change: Callable[[], None]) -> None:
        self.clock.pass_(TICK)
        change()
        self._remember()
        self.clock.pass_(TICK)

    def held(self, person: UserId, repository: RepositoryId, since: int) -> set[Access]:
        """The rights that this person had at some moment since."""
        history = self.history[(person, repository)]
        before = [access for at, access in history if at <= since][-1:]
        return {*before, *(access for at, access in history if at > since)}

    def shuffled(self, person: UserId, since: int) -> bool:
        """This person lost one repository and gained another: pages that were read around that may leave out a third,
        and their totals are the same. GitHub offers no list that is of one moment; the next one has it."""
        gained = lost = False
        for one in self.repositories:
            history = self.history[(person, one)]
            for (_, before), (at, after) in itertools.pairwise(history):
                gained |= at >= since and after.may_read and not before.may_read
                lost |= at >= since and before.may_read and not after.may_read
        return gained and lost

    def _remember(self) -> None:
        for person in PEOPLE:
            for one in self.repositories:
                kept = self.history.setdefault((person.id, one), [(-1, Access.NONE)])
                if kept[-1][1] is not (now := self.right_of(person.id, one)):
                    kept.append((self.clock.at, now))

    def _answers(self) -> None:
        if self.away:
            raise GitHubUnavailable("GitHub is away")
        self.asked += 1
        self.clock.pass_(TICK)
        due = [change for after, change in self.later if after <= self.asked]
        self.later = [one for one in self.later if one[0] > self.asked]
        for change in due:
            self.change(change)

    async def reached(self, person: UserId) -> Reached:
        self._answers()
        return Reached(installations=[self.installation] if self.installed else [])

    async def role(self, person: UserId, organization: OrganizationId) -> Role:
        self._answers()
        return Role.MEMBER if person == ANN.id else Role.NONE

    async def listed(self, person: UserId, organization: OrganizationId, page: int, etag: str) -> ListedPage | None:
        self._answers()
        found = self.page(person, page)
        return None if found.etag == etag else found

    def page(self, person: UserId, page: int) -> ListedPage:
        if person == EVERYBODY:
            levels = {one: Access.READ for one in self.repositories if one in self.public and self.installed}
        else:
            levels = {one: self.right_of(person, one) for one in self.repositories}
        rights = [Right(repository=one, access=access) for one, access in levels.items() if access.may_read]
        shown = rights[(page - 1) * PAGE : page * PAGE]
        etag = hashlib.sha256(f"{shown} {len(rights)}".encode()).hexdigest()
        return ListedPage(rights=shown, total=len(rights), last=page * PAGE >= len(rights), etag=etag)

    async def right(self, person: UserId, repository: RepositoryId) -> SingleRight:
        self._answers()
        access, public = self.right_of(person, repository), repository in self.public
        return SingleRight(access=Access.READ if public and not access.may_read else access, public=public)

    async def right_by_app(self, person: UserId, organization: OrganizationId, repository: RepositoryId) -> SingleRight:
        if not self.installed:
            return SingleRight(access=Access.NONE)
        return await self.right(person, repository)


# Foundry


@dataclass
class Working:
    """A listing that the other server reads."""

    place: Place
    page: ListedPage | None = None
    unchanged: bool = False
    asked_at: datetime | None = None


@dataclass
class Asked:
    """A question of the other server about one right."""

    person: Person
    repository: int
    number: int
    asked_at: datetime | None = None
    found: SingleRight | None = None


@dataclass
class Example:
    """One organization, from its first day."""

    tree: World
    clock: Clock
    organization: OrganizationId
    github: GitHub
    asker: AccessAsker
    waiting: list[Webhook] = field(default_factory=list[Webhook])  # sent, and not here yet
    applied: dict[tuple[Person | None, int | None], int] = field(default_factory=dict[Any, int])
    known: int | None = None  # the App's installation, as Foundry was told
    working: dict[Person, Working] = field(default_factory=dict[Person, Working])
    asked: list[Asked] = field(default_factory=list[Asked])

    # steps

    async def give(self, person: Person, repository: int, access: Access, how: str) -> None:
        one = self.github.repositories[repository]
        self.github.change(lambda: self.github.own.update({(person.id, one): access}))
        await self._tell(self._hook("member", "edited", person, repository), how)

    async def give_soon(self, person: Person, repository: int, access: Access, after: int) -> None:
        """It changes while somebody asks, and no webhook comes."""
        one, there = self.github.repositories[repository], self.github
        there.later.append((there.asked + after, lambda: there.own.update({(person.id, one): access})))

    async def team(self, repository: int, access: Access, how: str) -> None:
        one = self.github.repositories[repository]
        self.github.change(lambda: self.github.own.update({(person.id, one): access for person in PEOPLE}))
        await self._tell(self._hook("team", "edited", None, repository), how)

    async def base(self, access: Access) -> None:
        """GitHub sends no webhook for it."""
        self.github.change(lambda: setattr(self.github, "base", access))

    async def leave(self, person: Person, how: str) -> None:
        def change() -> None:
            for one in self.github.repositories:
                self.github.own.pop((person.id, one), None)

        self.github.change(change)
        await self._tell(self._hook("membership", "removed", person, None), how)

    async def publish(self, repository: int, how: str) -> None:
        one = self.github.repositories[repository]
        self.github.change(lambda: self.github.public.symmetric_difference_update({one}))
        await self._tell(self._hook("repository", "edited-visibility", None, repository), how)

    async def app(self, how: str) -> None:
        """The App is removed, or installed again under a new number."""
        there = self.github
        there.change(lambda: setattr(there, "installed", not there.installed))
        if there.installed:
            there.installation = next(numbers)
            granted = InstallationSummary(id=there.installation, organization=self.organization, login="org")
            message: Message = InstallationGranted(
                parent=addresses.organization(self.organization),
                scope=ScopeId(self.organization),
                installation=granted,
            )
        else:
            message = InstallationRevoked(installation=there.installation)
        await self._tell(Webhook(None, None, message), how)

    async def deliver(self, which: int, again: bool) -> None:
        if self.waiting:
            hook = self.waiting[which % len(self.waiting)]
            if not again:
                self.waiting.remove(hook)
            await self._apply(hook)

    async def wait(self, seconds: float) -> None:
        self.clock.pass_(int(seconds * 1000))

    # the other server's steps

    async def begin(self, person: Person) -> None:
        place = await self._ask(BeginListing(person=person.id, asked_at=self.clock.now()))
        if place is not None:
            self.working[person] = Working(place)

    async def read_page(self, person: Person) -> None:
        if (working := self.working.get(person)) is None or not self.here:
            return
        working.asked_at = self.clock.now()
        found = self.github.page(person.id, working.place.page)
        working.unchanged = found.etag == working.place.etag
        working.page = None if working.unchanged else found
        self.clock.pass_(TICK)

    async def record_page(self, person: Person) -> None:
        working = self.working.get(person)
        if working is None or working.asked_at is None:
            return
        place = await self._ask(
            RecordListingPage(
                person=person.id, round=working.place.round, number=working.place.page,
                page=working.page, asked_at=working.asked_at,
            )
        )  # fmt: skip
        if place is None:
            del self.working[person]
        else:
            self.working[person] = Working(place)

    async def page(self, person: Person) -> None:
        await self.read_page(person)
        await self.record_page(person)

    async def flicker(self, person: Person, repository: int, access: Access) -> None:
        """A right changes and changes back, and in between somebody asks for it; the answer is recorded later."""
        own, key = self.github.own, (person.id, self.github.repositories[repository])
        before = own.get(key, Access.NONE)
        self.github.change(lambda: own.update({key: access}))
        await self.question(person, repository)
        await self.ask_one(-1)
        self.github.change(lambda: own.update({key: before}))

    async def question(self, person: Person, repository: int) -> None:
        query = select(github_states.c.access_number).where(github_states.c.github == self.organization)
        row = await self.tree.read(lambda reader: reader.first(query))
        assert row is not None
        self.asked.append(Asked(person, repository, row.access_number))

    async def ask_one(self, which: int) -> None:
        if open_ := [one for one in self.asked if one.asked_at is None]:
            one = open_[which % len(open_)]
            one.asked_at = self.clock.now()
            one.found = await self.github.right(one.person.id, self.github.repositories[one.repository])

    async def record_one(self, which: int) -> None:
        if open_ := [one for one in self.asked if one.found is not None]:
            one = open_[which % len(open_)]
            self.asked.remove(one)
            assert one.asked_at is not None
            assert one.found is not None
            await self._ask(
                RecordAnswer(
                    person=one.person.id, number=one.number, public=one.found.public, by_app=one.person is CY,
                    right=Right(repository=self.github.repositories[one.repository], access=one.found.access),
                    asked_at=one.asked_at,
                )
            )  # fmt: skip

    # what people see

    async def read(self, person: Person, repository: int, *, write: bool = False, away: bool = False) -> None:
        """What `Sees.right` answers was true at some moment that the table allows."""
        ref = self._ref(repository)
        self.github.away = away
        found, grace = await self._see(person, lambda sees: sees.right(ref, write=write))
        self.github.away = False
        if found is not None:
            oldest = TIMES.write if write else TIMES.grace if grace else TIMES.read
            self._check(person, repository, found, oldest, write=write)

    async def see_lists(self, person: Person) -> None:
        """The same of what a person may read, and of what they may push to."""

        def look(sees: Sees) -> tuple[frozenset[str], set[str], bool]:
            known = sees.access_in(self.organization)
            writable = {one.id for one in sees.repositories(self.organization, writable=True)}
            whole = known is not None and known.complete and not known.by_app
            return sees.visible(self.organization), writable, whole

        found, _ = await self._see(person, look)
        if found is None:
            return
        readable, writable, whole = found
        for number, id in enumerate(self.github.repositories):
            access = Access.WRITE if id in writable else Access.READ if id in readable else Access.NONE
            self._check(person, number, access, TIMES.read, partial=not whole)

    def _check(
        self, person: Person, repository: int, found: Access, oldest: timedelta,
        *, write: bool = False, partial: bool = False,
    ) -> None:  # fmt: skip
        told = [at for (who, what), at in self.applied.items() if who in (None, person) and what in (None, repository)]
        since = max(self.clock.at - int(oldest / timedelta(milliseconds=1)) - TICK, *told, 0)
        id = self.github.repositories[repository]
        held = self.github.held(person.id, id, since)
        best, least = (edge(held, key=LEVELS.index) for edge in (max, min))
        where = f"{person.login} to repository {repository}: {found}, but GitHub allowed {sorted(held)}"
        if write:
            assert not found.may_write or best.may_write, where
            assert found.may_write or not least.may_write or not self.here, where
            return
        assert LEVELS.index(found) <= LEVELS.index(best), where
        unclear = person is CY and (id in self.github.public or least is Access.READ)
        shuffled = self.github.shuffled(person.id, self.clock.at - 2 * int(TIMES.read / timedelta(milliseconds=1)))
        if not (partial or unclear or shuffled) and self.here:
            assert found.may_read or not least.may_read, where

    async def _see(self, person: Person, look: Callable[[Sees], Any]) -> tuple[Any, bool]:
        """As `foundry.api.access.see` does it; where that pauses, a second passes. Returns None if it is refused, as it
        may be while GitHub is away or the App is not there; and whether older answers than usual were used."""
        grace = False
        asking = Asking(person.id, self.clock.now(), TIMES)
        for _ in range(60):
            asking = replace(asking, now=self.clock.now(), grace=grace)

            def run(reader: Reader, asking: Asking = asking) -> Any:
                return look(Sees(reader, Me(person=person), asking))

            try:
                return await self.tree.read(run), grace
            except NotInstalled:
                break
            except Outdated as outdated:
                if grace:
                    break
                try:
                    if not await self.asker.answer(outdated.question):
                        self.clock.pass_(1000)
                except GitHubUnavailable:
                    grace = True
        else:
            raise AssertionError("it asks without end")
        assert self.github.away or not self.here, "GitHub answers, so nobody is refused"
        return None, grace

    # helpers

    def _ref(self, repository: int) -> RepositoryRef:
        id = self.github.repositories[repository]
        return RepositoryRef(id=id, organization=self.organization, owner="org", name=f"r{repository}")

    def _hook(self, event: str, action: str, person: Person | None, repository: int | None) -> Webhook:
        there = None if repository is None else HookRepository(id=int(self.github.repositories[repository]))
        member = None if person is None else GitHubAccount(id=int(person.id), login=person.login)
        payload = HookPayload(action=action, repository=there, member=member)
        message = Delivered(delivery=f"d{next(numbers)}", event=event, action=action, payload=payload)
        return Webhook(person, repository, message)

    async def _tell(self, hook: Webhook, how: str) -> None:
        if how == "now":
            await self._apply(hook)
        elif how == "late":
            self.waiting.append(hook)

    async def _apply(self, hook: Webhook) -> None:
        before = self.known
        if isinstance(hook.message, InstallationGranted):
            self.known = hook.message.installation.id
        elif isinstance(hook.message, InstallationRevoked) and hook.message.installation == self.known:
            self.known = None
        await self.tree.runtime.ask(addresses.github(self.organization), hook.message)  # type: ignore[arg-type]
        await settled(self.tree)
        self.clock.pass_(TICK)
        if isinstance(hook.message, Delivered) or self.known != before:  # else it is about another installation
            self.applied[(hook.person, hook.repository)] = self.clock.at

    async def _ask(self, command: Any) -> Any:
        self.clock.pass_(TICK)
        return await self.tree.runtime.ask(addresses.github(self.organization), command)

    def __post_init__(self) -> None:
        self.known = self.github.installation

    @property
    def here(self) -> bool:
        """Foundry knows the present installation; otherwise its next sync will tell."""
        return self.known == self.github.installation


async def settled(tree: World) -> None:
    """Every message has arrived."""
    query = select(mailbox.c.receiver).limit(1)
    await eventually(lambda: tree.read(lambda reader: reader.first(query)), lambda row: row is None, limit=20.0)


async def beginning(tree: World, clock: Clock) -> Example:
    """A new organization, whose repositories Foundry knows."""
    clock.pass_(3 * 3_600_000)
    organization, github = OrganizationId(str(next(numbers))), GitHub(clock, next(numbers))
    example = Example(
        tree, clock, organization, github, AccessAsker(tree.runtime, github, clock.now, Metrics(), remembered=0.0)
    )
    granted = InstallationSummary(id=github.installation, organization=organization, login="org")
    here = InstallationGranted(
        parent=addresses.organization(organization), scope=ScopeId(organization), installation=granted
    )
    await tree.runtime.ask(addresses.github(organization), here)  # type: ignore[arg-type]
    known = RecordRepositories(repositories=[example._ref(number) for number in range(REPOSITORIES)])
    await tree.runtime.ask(addresses.github(organization), known)
    await settled(tree)
    return example


# sequences

people, repositories = st.sampled_from(PEOPLE), st.integers(0, REPOSITORIES - 1)
with_token = st.sampled_from((ANN, BOB))
levels, how = st.sampled_from(LEVELS), st.sampled_from(("now", "late", "lost"))
which = st.integers(0, 3)
seconds = st.sampled_from((1, 14, 16, 59, 61, 299, 599, 601, 1800, 3601))


def step(name: str, *values: Any) -> st.SearchStrategy[tuple[str, tuple[Any, ...]]]:
    return st.tuples(st.just(name), st.tuples(*values))


steps = st.one_of(
    step("give", people, repositories, levels, how),
    step("give", people, repositories, levels, how),
    step("give_soon", people, repositories, levels, st.integers(1, 6)),
    step("team", repositories, levels, how),
    step("base", levels),
    step("leave", people, how),
    step("publish", repositories, how),
    step("app", how),
    step("deliver", which, st.booleans()),
    step("wait", seconds),
    step("wait", seconds),
    step("begin", with_token),
    step("read_page", with_token),
    step("record_page", with_token),
    step("page", with_token),
    step("page", with_token),
    step("flicker", people, repositories, levels),
    step("flicker", people, repositories, levels),
    step("question", people, repositories),
    step("ask_one", which),
    step("record_one", which),
    step("read", people, repositories),
    step("read", people, repositories),
    step("write", people, repositories),
    step("away", people, repositories),
    step("see_lists", people),
)
sequences = st.lists(steps, min_size=4, max_size=40)
Sequence = list[tuple[str, tuple[Any, ...]]]


async def perform(example: Example, sequence: Sequence) -> None:
    """1. Everybody sees what they may. 2. The sequence. 3. Everybody sees the right thing."""
    for person in (ANN, BOB):
        for number in range(REPOSITORIES):
            example.github.own[(person.id, example.github.repositories[number])] = Access.WRITE
    example.github._remember()
    for name, values in sequence:
        match name:
            case "write":
                await example.read(*values, write=True)
            case "away":
                await example.read(*values, away=True)
            case _:
                await getattr(example, name)(*values)
    for person in PEOPLE:
        await example.see_lists(person)
        for number in range(REPOSITORIES):
            await example.read(person, number)
            await example.read(person, number, write=True)


@contextmanager
def running(runner: asyncio.Runner, tmp_path: Path) -> Iterator[tuple[World, Clock]]:
    there = world(f"sqlite:///{tmp_path}/foundry.db", Outside(), repositories=())
    tree, clock = runner.run(there.__aenter__()), Clock()
    try:
        runner.run(_people(tree))
        yield tree, clock
    finally:
        runner.run(there.__aexit__(None, None, None))


def hold(tmp_path: Path, examples: int, **more: Any) -> None:
    with asyncio.Runner() as runner, running(runner, tmp_path) as (tree, clock):

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            **more,
        )
        @given(sequences)
        def each(sequence: Sequence) -> None:
            example = runner.run(beginning(tree, clock))
            runner.run(perform(example, sequence))

        each()


async def _people(tree: World) -> None:
    await tree.ask(addresses.github_app(), SyncInstallations())
    for person in PEOPLE:
        token = "" if person is CY else "sealed"
        identity = StoreIdentity(parent=addresses.app_shell(), scope=APP, person=person, access_token=token)
        await tree.ask(addresses.user_github_data(person.id), identity)
    await settled(tree)


def test_nobody_reads_what_github_denied_and_nobody_is_locked_out(tmp_path: Path) -> None:
    hold(tmp_path, 60)


def test_a_right_from_before_a_change_is_not_kept_while_a_listing_is_under_way(tmp_path: Path) -> None:
    """Found among many sequences: GitHub says `read` of what is public, whoever asks."""
    public = REPOSITORIES - 1
    taken = [("give", (ANN, 0, Access.NONE, "now")), ("give", (ANN, public, Access.NONE, "now"))]
    with asyncio.Runner() as runner, running(runner, tmp_path) as (tree, clock):
        example = runner.run(beginning(tree, clock))
        runner.run(perform(example, [("read", (ANN, 0)), *taken, ("begin", (ANN,))]))


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_same_for_many_more_sequences(tmp_path: Path) -> None:
    hold(tmp_path, 1500)
