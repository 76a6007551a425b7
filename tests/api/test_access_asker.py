"""How the edge asks GitHub about people: once, at once, and never again and again for what is refused."""

from __future__ import annotations

import asyncio

from foundry.contracts import addresses
from foundry.contracts.github_access import SingleSignOnNeeded
from foundry.contracts.github_payloads import GitHubAccount
from foundry.contracts.github_state import Delivered, HookPayload, HookRepository
from foundry.contracts.people import Access
from foundry.github.errors import GitHubUnavailable
from tests.api.edge import ADA, GRACE, ORG, SITE, TALLY, Edge
from tests.api.problems import problem

REPOSITORY, TASKS = f"/api/repositories/{TALLY.id}", f"/api/organizations/{ORG}/tasks"


def kinds(edge: Edge) -> list[str]:
    return [what for who, what in edge.github.asked if who == ADA.id]


async def test_many_requests_at_once_ask_each_question_once(edge: Edge):
    async with edge.admin("ada") as ada:
        answers = await asyncio.gather(*(ada.get(REPOSITORY) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert kinds(edge) == ["reach", "role", "listing"]


async def test_a_listing_that_failed_is_asked_for_again_by_the_next_request(edge: Edge):
    """Not 15 seconds later, when another server would take over a listing that makes no progress."""
    async with edge.admin("ada") as ada, asyncio.timeout(8):
        assert (await ada.get("/api/app")).status_code == 200  # asks for the reach alone
        edge.github.fail["access"] = [GitHubUnavailable("GitHub is away")]
        problem(await ada.get(REPOSITORY), 503, "github_unavailable")
        assert (await ada.get(REPOSITORY)).status_code == 200
        assert kinds(edge) == ["reach", "role", "role", "listing"]


async def test_a_single_sign_on_that_ended_costs_one_question_and_the_app_answers(edge: Edge):
    async with edge.admin("ada") as ada:
        await edge.task(ada)
        edge.github.asked.clear()
        edge.clock.later = edge.foundry.access_times.write * 2
        edge.github.fail["access"] = [SingleSignOnNeeded("sign in at GitHub")]
        assert (await ada.post(TASKS, json={"repository": TALLY.id, "prompt": "x"})).status_code == 201
        assert kinds(edge) == ["tally", "tally by the App"]
        assert (await ada.get(REPOSITORY)).status_code == 200
        edge.clock.later += edge.foundry.access_times.read
        assert (await ada.get(REPOSITORY)).status_code == 200
        assert kinds(edge)[2:] == ["reach", "role", "listing"], "ten minutes later she is asked for again"


async def test_without_a_single_sign_on_nobody_reads_or_changes_what_github_refuses_them(edge: Edge):
    """The App's right to ask is not the person's: only the admin token acts without it."""
    async with await edge.browser(ADA) as ada, edge.admin("ada") as admin:
        task = (await edge.task(ada))["id"]
        edge.clock.later = edge.foundry.access_times.write * 2
        edge.github.fail["access"] = [SingleSignOnNeeded("sign in at GitHub")]
        wish = {"repository": TALLY.id, "prompt": "x"}
        refused = problem(await ada.post(TASKS, json=wish), 403, "single_sign_on_needed", "organization")
        assert "sign in to Foundry again" in refused["remedy"]
        problem(await ada.get(REPOSITORY), 403, "single_sign_on_needed", "repository")
        problem(await ada.get(f"/api/tasks/{task}"), 403, "single_sign_on_needed", "task")
        problem(await ada.get(f"/api/realtime?topic=task&id={task}"), 403, "single_sign_on_needed")
        assert (await ada.get(TASKS)).json() == []
        assert (await ada.get(f"/api/organizations/{ORG}")).status_code == 200
        assert (await admin.get(REPOSITORY)).status_code == 200


async def test_a_repository_that_was_just_created_is_seen_at_once(edge: Edge):
    """Its webhook says so: who has the base permission need not wait for the next listing."""
    async with edge.admin("grace") as grace:
        edge.github.rights.pop((GRACE.id, TALLY.id))
        assert (await grace.get(REPOSITORY)).status_code == 404
        edge.github.rights[(GRACE.id, TALLY.id)] = Access.READ
        owner = GitHubAccount(id=int(ORG), login="lumen-works")
        created = HookRepository(id=int(TALLY.id), name="tally", owner=owner, private=True)
        payload = HookPayload(action="created", repository=created)
        told = Delivered(delivery="c", event="repository", action="created", payload=payload)
        await edge.world.say(told, to=addresses.github(ORG))
        assert (await grace.get(REPOSITORY)).status_code == 200


async def test_a_repository_that_github_fails_on_hides_itself_and_not_the_organization(edge: Edge):
    """It changed, and GitHub answers 500 about it alone."""
    async with edge.admin("ada") as ada:
        task = await edge.task(ada)
        owner = GitHubAccount(id=int(ORG), login="lumen-works")
        changed = HookRepository(id=int(SITE.id), name="site", owner=owner, private=True)
        payload = HookPayload(action="privatized", repository=changed)
        told = Delivered(delivery="p", event="repository", action="privatized", payload=payload)
        await edge.world.say(told, to=addresses.github(ORG))
        assert (await ada.get("/api/app")).status_code == 200  # the webhook ended the reach too
        edge.github.fail["access"] = [GitHubUnavailable("GitHub answered 500") for _ in range(99)]
        names = [one["name"] for one in (await ada.get(f"/api/organizations/{ORG}/repositories")).json()]
        assert names == ["tally"]
        assert (await ada.get(f"/api/tasks/{task['id']}")).status_code == 200
        problem(await ada.get(f"/api/repositories/{SITE.id}"), 503, "github_unavailable")
