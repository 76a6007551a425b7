"""What people cost at GitHub, counted by the stand-in.

Counted are REST requests that use somebody's hourly budget: a person's own, or the installation's. As at GitHub, an
unchanged answer (304) uses none. The sync and webhooks are not counted: they are the same however many people look.
"""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from foundry.actors.github_state.access_views import READABLE
from foundry.actors.github_state.tables import github_listings
from foundry.api.access import see
from foundry.api.auth import Me
from foundry.api.sees import Sees
from foundry.contracts.ids import TaskId, new_id
from tests.actors.tree import ORG, REPO
from tests.api.github_edge import GitHubEdge, github_edge
from tests.waiting import eventually

MINUTE = timedelta(minutes=1)


async def test_a_stranger_costs_one_request_whatever_they_open(tmp_path: Path) -> None:
    async with github_edge(tmp_path) as edge:
        await edge.many(301)
        zoe = await edge.browser(await edge.person("zoe"))
        await edge.requests()
        for minute in (0, 3, 9):
            edge.clock.later = minute * MINUTE
            assert (await zoe.get("/api/app")).json()["organizations"] == []
            for path in (
                f"organizations/{ORG}", f"organizations/{ORG}/tasks", f"organizations/{ORG}/repositories",
                "organizations/2002", "organizations/999", f"repositories/{REPO}", "repositories/4002",
                f"tasks/{TaskId(new_id('tsk'))}", f"realtime?topic=organization&id={ORG}",
            ):  # fmt: skip
                assert (await zoe.get(f"/api/{path}")).status_code == 404, path
        (made,) = (await edge.requests()).values()
        assert made == {"requests": 1, "not_modified": 0, "charged": 1}
        edge.clock.later = 11 * MINUTE
        assert (await zoe.get("/api/app")).json()["organizations"] == []
        (made,) = (await edge.requests()).values()
        assert made["charged"] == 1, "and one more every ten minutes"


@pytest.mark.long
async def test_the_first_page_can_be_used_while_the_second_is_held_back(tmp_path: Path) -> None:
    async with github_edge(tmp_path) as edge:
        await edge.many(250, access={"linus": "read"})
        person = await edge.person("zed")
        await edge.stage.control("PUT", "organizations/lumen-works/members/zed", {"role": "member"})
        await edge.stage.control("PATCH", "organizations/lumen-works", {"base": "read"})
        zed = await edge.browser(person)
        path = "installations/3001/repositories"
        for seconds in (0, 6):
            await edge.stage.control("POST", "faults", {"path": path, "seconds": seconds})
        repositories = f"/api/organizations/{ORG}/repositories"
        assert len((await zed.get(repositories)).json()) == 100
        query = select(github_listings.c.page).where(github_listings.c.person == person.id)
        row = await edge.stage.tree.read(lambda reader: reader.one(query))
        assert row.page == 2, "GitHub has not answered with the second page"
        assert (await zed.get(f"/api/organizations/{ORG}")).status_code == 200

        async def shown() -> int:
            return len((await zed.get(repositories)).json())

        await eventually(shown, lambda found: found == 251, limit=30.0)


async def idle_hour(edge: GitHubEdge, people: int, repositories: int) -> tuple[list[int], list[int], float]:
    """People who leave a page of a large organization open. Returns what each is charged until the page is whole, and
    in the hour after; and the seconds that it took."""
    began = time.monotonic()
    await edge.stage.control("PATCH", "organizations/lumen-works", {"base": "read"})
    await edge.many(repositories, synced=False)
    them = [await edge.person(f"person-{number}") for number in range(people)]
    for person in them:
        await edge.stage.control("PUT", f"organizations/lumen-works/members/{person.login}", {"role": "member"})
        await edge.browser(person)
    await edge.stage.tree.quiet()

    def page(sees: Sees) -> int:
        """What an open page of the organization checks every minute. Returns how many repositories may be read."""
        assert [one.id for one in sees.organizations()] == [ORG]
        assert sees.organization(ORG).id == ORG
        known = sees.access_in(ORG)
        assert known is not None
        return len(sees.reader.all(READABLE, known.values))

    async def look() -> None:
        for person in them:
            await see(edge.foundry, Me(person=person), page)
            await edge.asked()

    async def charged() -> list[int]:
        found = await edge.requests()
        assert set(found) <= {f"user:{person.id}" for person in them}, "the installation's budget is left alone"
        return [found.get(f"user:{person.id}", {"charged": 0})["charged"] for person in them]

    await edge.requests()
    await look()
    first = await charged()
    for minute in range(1, 61):
        edge.clock.later = minute * MINUTE
        await look()
    hour = await charged()
    assert await see(edge.foundry, Me(person=them[0]), page) == repositories + 1
    return first, hour, time.monotonic() - began


async def test_an_open_page_of_an_idle_person_costs_little(tmp_path: Path) -> None:
    """3 people, 450 repositories: 5 pages. The test below has the numbers of the issue."""
    async with github_edge(tmp_path) as edge:
        first, hour, took = await idle_hour(edge, 3, 450)
        print(f"first {first}, hour {hour}, {took:.1f} s")
        assert max(first) <= 5 + 2  # pages, reach, role
        assert max(hour) <= 8


@pytest.mark.long
@pytest.mark.timeout(3000)
async def test_twenty_people_in_an_organization_of_5000_repositories(tmp_path: Path) -> None:
    """In their first hour, in which everything is listed for the first time, and in the next."""
    async with github_edge(tmp_path) as edge:
        first, hour, took = await idle_hour(edge, 20, 5_000)
        print(f"first {first}, hour {hour}, {took:.1f} s")
        assert max(one + then for one, then in zip(first, hour, strict=True)) <= 60
