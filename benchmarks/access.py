"""Somebody who reads 200 of an organization's 5,000 repositories waits as long as somebody who reads both of two.

Both have as many tasks of their own. What they read is recorded as the edge does it, in turns of GitHubState.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx2 as httpx
from fastapi import Request
from sqlalchemy import Connection, insert
from tests.api.edge import ADA, BOB, GRACE, URL, Edge, listening, running
from tests.postgres import binaries, cluster, database

from benchmarks.filled import line
from benchmarks.rows import Failed, Row, row, tried
from foundry.actors.github_state.tables import github_access, github_states
from foundry.actors.organization.tables import organization_repositories, organization_tasks, organizations
from foundry.api.auth import Me
from foundry.api.context import COOKIE
from foundry.api.subscription import Subscriber
from foundry.contracts import addresses
from foundry.contracts.github_access import (
    BeginListing,
    ListedPage,
    Reached,
    RecordListingPage,
    RecordReach,
    Right,
    Role,
)
from foundry.contracts.ids import OrganizationId, RepositoryId, UserId
from foundry.contracts.messages import APP
from foundry.contracts.people import Access, Person
from foundry.contracts.repository import RepositoryRef
from foundry.runtime.runtime import Runtime
from foundry.runtime.store.migrate import engine_of, migrate
from foundry.runtime.store.tables import actors

PRIVATE, PAGE = 3_000, 100  # of the large organization's repositories; of GitHub's pages
COLLEAGUES = 20
OWN, OTHERS = 30, 3_000  # tasks on repositories that the person reads, and on others
REQUESTS, LOOKS, LISTINGS, WARM = 200, 50, 10, 20
PATHS = {"one organization": "", "its repositories": "/repositories", "its tasks": "/tasks"}
READS_BEFORE = 3 + PRIVATE  # 0.3: who asks, the organization, its repositories, and each private one's permission


@dataclass(frozen=True)
class Team:
    """An organization, and somebody who reads its first repositories."""

    id: OrganizationId
    installation: int
    repositories: int
    person: Person
    read: int

    def repository(self, number: int) -> RepositoryRef:
        """A repository; the ones that are read lie between the others in the list by name."""
        owner, name = f"lumen-{self.id}", f"tally-{number * 7919 % self.repositories:04d}"
        url = f"https://github.com/{owner}/{name}"
        return RepositoryRef(
            id=RepositoryId(f"{self.id}{number:04d}"), organization=self.id, owner=owner, name=name,
            private=number < PRIVATE, clone_url=f"{url}.git", html_url=url,
        )  # fmt: skip


LARGE = Team(OrganizationId("3001"), 31, 5_000, GRACE, 200)
SMALL = Team(OrganizationId("3002"), 32, 2, BOB, 2)


def prepare(url: str) -> None:
    """Both organizations, as their sync and their tasks have left them."""
    migrate(url)
    now, engine = int(time.time() * 1000), engine_of(url)
    with engine.connect() as connection, connection.begin():
        app = addresses.app_shell()
        connection.execute(insert(actors), {"actor": str(app), "kind": app.kind, "scope": APP, "created_at": now})
        for team in (LARGE, SMALL):
            _organization(connection, team, now)
        _colleagues(connection, now)
    engine.dispose()


def _colleagues(connection: Connection, now: int) -> None:
    """What others read of the large organization: 1,000 repositories each."""
    right = {"github": LARGE.id, "access": Access.READ.value, "page": 0, "number": 0, "at": now}
    whose = [(str(9_000 + person), LARGE.repository(n).id) for person in range(COLLEAGUES) for n in range(0, 5_000, 5)]
    rows = [{"person": person, "repository": repository, **right} for person, repository in whose]
    connection.execute(insert(github_access), rows)


def _analyze(url: str) -> None:
    """As autovacuum does it, where so much has grown."""
    if url.startswith("postgresql"):
        engine = engine_of(url)
        with engine.connect() as connection, connection.begin():
            connection.exec_driver_sql("ANALYZE")
        engine.dispose()


def _organization(connection: Connection, team: Team, now: int) -> None:
    named = {"login": f"lumen-{team.id}", "name": "Lumen", "avatar_url": "", "installation": team.installation}
    github = {"actor": str(addresses.github(team.id)), "kind": "GitHubState", "scope": team.id, "created_at": now}
    connection.execute(insert(actors), github)
    connection.execute(insert(github_states), {"github": team.id, "active": True, "synced_at": now, **named})
    connection.execute(insert(organizations), {"organization": team.id, "active": True, **named})
    refs = [team.repository(number) for number in range(team.repositories)]
    listed = [{"repository": one.id, "full_name": one.full_name, "ref": one.model_dump_json()} for one in refs]
    connection.execute(insert(organization_repositories), [{"organization": team.id, **one} for one in listed])
    own = [refs[number % team.read] for number in range(OWN)]
    others = [one for one, _ in zip(itertools.cycle(refs[team.read :]), range(OTHERS), strict=False)]
    connection.execute(insert(organization_tasks), [_task(one, n, now) for n, one in enumerate(own + others)])


def _task(repository: RepositoryRef, number: int, now: int) -> dict[str, object]:
    task = f"tsk_{int(repository.organization):013d}{number:013d}"
    one = line(number % 1_000, now).model_copy(update={"id": task, "repository": repository})
    return {
        "organization": repository.organization,
        "task": task,
        "repository": repository.id,
        "archived": False,
        "created_at": now - number,
        "changed_at": now,
        "summary": one.model_dump_json(),
    }


@asynccontextmanager
async def filled(home: Path, url: str) -> AsyncIterator[tuple[Edge, dict[str, list[float]]]]:
    """The edge with both organizations. Also milliseconds of the turns that recorded Ada's listing of all 5,000."""
    await asyncio.to_thread(prepare, url)
    async with running(home, url) as edge:
        await edge.world.quiet()
        for person in (ADA, GRACE, BOB):
            reached = Reached(installations=[1, LARGE.installation, SMALL.installation])
            record = RecordReach(person=person.id, number=10**6, reached=reached, asked_at=datetime.now(UTC))
            await edge.runtime.ask(addresses.github_app(), record)
        for team in (LARGE, SMALL):
            await listing(edge, team, team.person.id, team.read)
        new = await listing(edge, LARGE, ADA.id, LARGE.repositories)
        known = await listing(edge, LARGE, ADA.id, LARGE.repositories)
        same = [await listing(edge, LARGE, ADA.id, LARGE.repositories, unchanged=True) for _ in range(LISTINGS)]
        turns = {"new": new[:-1], "known": known[:-1], "unchanged": [one for each in same for one in each[:-1]]}
        turns["last"] = [each[-1] for each in same]
        await asyncio.to_thread(_analyze, url)
        yield edge, turns


async def listing(edge: Edge, team: Team, person: UserId, read: int, *, unchanged: bool = False) -> list[float]:
    """Record a whole listing. Milliseconds of each page's turn.

    Args:
        unchanged: GitHub answers each page with 304.
    """
    github, took = addresses.github(team.id), list[float]()
    place = await edge.runtime.ask(github, BeginListing(person=person, asked_at=datetime.now(UTC)))
    while place is not None:
        first = (place.page - 1) * PAGE
        numbers = range(first, min(first + PAGE, read))
        rights = [Right(repository=team.repository(one).id, access=Access.WRITE) for one in numbers]
        page = ListedPage(rights=rights, total=read, last=first + PAGE >= read, etag=f"page {place.page}")
        record = RecordListingPage(
            person=person, round=place.round, number=place.page, page=None if unchanged else page,
            role=Role.MEMBER if place.page == 1 else None, asked_at=datetime.now(UTC),
        )  # fmt: skip
        began = time.perf_counter()
        place = await edge.runtime.ask(github, record)
        took.append((time.perf_counter() - began) * 1000)
    return took


async def alternating(*runs: Callable[[], Awaitable[Any]], times: int) -> list[float]:
    """Milliseconds of each, the medians; they take turns, so what else the machine does hits all."""
    took: list[list[float]] = [[] for _ in runs]
    for number in range(WARM + times):
        for mine, run in zip(took, runs, strict=True):
            began = time.perf_counter()
            await run()
            if number >= WARM:
                mine.append((time.perf_counter() - began) * 1000)
    return [statistics.median(mine) for mine in took]


async def requests(edge: Edge) -> tuple[dict[str, list[float]], int]:
    """Of each path, milliseconds in the large organization and in the small one; and the most reads of a request."""
    cookies = {team.id: (await edge.browser(team.person)).cookies[COOKIE] for team in (LARGE, SMALL)}
    runtime = Counted(edge.runtime)
    edge.foundry.runtime = runtime  # type: ignore[assignment]
    took: dict[str, list[float]] = {}
    async with listening(edge) as url, httpx.AsyncClient(base_url=url, trust_env=False) as http:

        async def get(team: Team, path: str) -> httpx.Response:
            headers = {"host": URL.removeprefix("http://"), "cookie": f"{COOKIE}={cookies[team.id]}"}
            runtime.reads.append(0)
            answer = await http.get(f"/api/organizations/{team.id}{path}", headers=headers)
            assert answer.status_code == 200, answer.text
            return answer

        for team in (LARGE, SMALL):
            found = [(await get(team, path)).json() for path in PATHS.values()]
            assert (found[0]["id"], *map(len, found[1:])) == (team.id, team.read, OWN), found
        for what, path in PATHS.items():
            both = [partial(get, team, path) for team in (LARGE, SMALL)]
            took[what] = await alternating(*both, times=REQUESTS)
    return took, max(runtime.reads)


class Counted:
    """The edge's runtime; the last of `reads` is raised by each hop to a reader thread."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime, self.reads = runtime, [0]

    async def read(self, *given: Any) -> Any:
        self.reads[-1] += 1
        return await self._runtime.read(*given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)


async def looks(edge: Edge) -> list[float]:
    """Milliseconds of one look at what a subscriber of the large organization may see: 200 repositories; all."""
    request = Request({"type": "http", "app": edge.app, "headers": []})
    two = [Subscriber(request, Me(person), "organization", LARGE.id) for person in (GRACE, ADA)]
    sights = [await one.look() for one in two]
    assert [len(sight.repositories or ()) for sight in sights] == [LARGE.read, LARGE.repositories]
    return await alternating(*(one.look for one in two), times=LOOKS)


async def on(store: str, home: Path, url: str) -> list[Row]:
    async with filled(home, url) as (edge, turns):
        rows = [*_turns(store, turns), *_looks(store, await tried(looks(edge)))]
        return [*_requests(store, await tried(requests(edge))), *rows]


def _requests(store: str, found: tuple[dict[str, list[float]], int] | Failed) -> Sequence[Row]:
    took, reads = (found, found) if isinstance(found, Failed) else found
    shape = f"{LARGE.read} of {LARGE.repositories:,} repositories"
    times = [
        row(f"{what}, {shape}, {store}, p50", took[what][0], "ms", "2 of 2", took[what][1], ratio_most=1.5)
        for what in PATHS
    ]
    before = f"0.3, for {PRIVATE:,} private ones"
    return [row(f"most reads of one of these requests, {store}", reads, "reads", before, READS_BEFORE, most=1), *times]


def _turns(store: str, turns: dict[str, list[float]]) -> Sequence[Row]:
    half = {one: statistics.median(took) for one, took in turns.items()}
    what, beside, same = f"a page of {PAGE}", "an unchanged page (304)", half["unchanged"]
    return [
        row(f"{what} new repositories is recorded, {store}, p50", half["new"], "ms", beside, same),
        row(f"{what} known repositories is recorded, {store}, p50", half["known"], "ms", beside, same),
        row(
            f"the last of {LARGE.repositories // PAGE} pages is recorded, {store}, p50",
            half["last"],
            "ms",
            beside,
            same,
        ),
    ]


def _looks(store: str, took: list[float] | Failed) -> Sequence[Row]:
    what, beside = f"one look of a subscriber who reads {LARGE.repositories:,}, {store}, p50", f"{LARGE.read}"
    return [row(what, took[1], "ms", beside, took[0])]


async def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as home:
        rows = await _rows("SQLite", Path(home), f"sqlite:///{home}/foundry.db")
    if binaries() is not None:
        with tempfile.TemporaryDirectory() as home, cluster() as server, database(server) as url:
            rows += await _rows("PostgreSQL", Path(home), url)
    return rows


async def _rows(store: str, home: Path, url: str) -> list[Row]:
    found = await tried(on(store, home, url))
    return [row(f"access, {store}", found, "ms")] if isinstance(found, Failed) else found
