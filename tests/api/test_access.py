"""A person sees and changes what GitHub lets them; what may not be known looks as if it did not exist."""

from __future__ import annotations

from datetime import timedelta

import httpx2 as httpx
import pytest

from foundry.contracts import addresses
from foundry.contracts.errors import Unavailable
from foundry.contracts.issues import Failure, IssueKind, RecordFailure
from foundry.contracts.messages import ScopeId
from foundry.contracts.people import Access
from foundry.github.errors import GitHubUnavailable
from tests.api.edge import ORG, SITE, TALLY, Edge
from tests.api.problems import problem

TASKS = f"/api/organizations/{ORG}/tasks"


async def test_a_reader_reads_but_does_not_change(edge: Edge):
    async with edge.admin("ada") as ada, edge.admin("grace") as grace:
        task = f"/api/tasks/{(await edge.task(ada))['id']}"
        assert (await grace.get(task)).status_code == 200
        problem(await grace.post(f"{task}/archive", json={"kill": True}), 403, "forbidden", "task")
        refused = await grace.post(TASKS, json={"repository": TALLY.id, "prompt": "Mine"})
        problem(refused, 403, "forbidden", "repository")
        assert (await grace.get(task)).json()["archived"] is None
        assert await edge.tasks() == 1


async def test_what_may_not_be_read_looks_as_if_it_did_not_exist(edge: Edge):
    async with edge.admin("ada") as ada, edge.admin("bob") as bob:
        task = await edge.task(ada)
        sandbox, session = f"/api/sandboxes/{task['sandbox']}", f"/api/sessions/{task['active_session']}"
        await edge.until(ada, sandbox, bool)
        await edge.until(ada, session, bool)
        problem(await bob.get(f"/api/tasks/{task['id']}"), 404, "not_found", "task")
        problem(await bob.post(f"/api/tasks/{task['id']}/archive"), 404, "not_found", "task")
        problem(await bob.get(session), 404, "not_found", "session")
        problem(await bob.get(sandbox), 404, "not_found", "sandbox")
        problem(await bob.get(f"/api/repositories/{TALLY.id}"), 404, "not_found", "repository")
        problem(await bob.get(f"/api/realtime?topic=task&id={task['id']}"), 404, "not_found")
        unknown = problem(
            await bob.post(TASKS, json={"repository": "lumen-works/tally", "prompt": "x"}),
            422, "unknown_repository", "repository",
        )  # fmt: skip
        none = await bob.post(TASKS, json={"repository": "lumen-works/other", "prompt": "x"})
        assert none.json()["detail"] == unknown["detail"].replace("tally", "other")


async def test_lists_show_what_a_person_may_read(edge: Edge):
    async with edge.admin("ada") as ada, edge.admin("bob") as bob:
        for repository in (TALLY, SITE):
            await edge.task(ada, repository=repository.full_name)
        await edge.until(ada, TASKS, lambda found: len(found) == 2)
        assert [task["repository"]["name"] for task in (await bob.get(TASKS)).json()] == ["site"]
        repositories = f"/api/organizations/{ORG}/repositories"
        assert [one["name"] for one in (await bob.get(repositories)).json()] == ["site"]
        assert [one["name"] for one in (await ada.get(repositories)).json()] == ["site", "tally"]
        assert [one["login"] for one in (await bob.get("/api/app")).json()["organizations"]] == ["lumen-works"]


async def test_a_public_repository_is_open_to_read_but_not_to_change(edge: Edge):
    async with edge.admin("bob") as bob:
        assert (await bob.get(f"/api/repositories/{SITE.id}")).status_code == 200
        assert edge.github.asked == []
        refused = await bob.post(TASKS, json={"repository": SITE.full_name, "prompt": "x"})
        problem(refused, 403, "forbidden", "repository")


async def test_a_permission_is_asked_for_again_when_it_is_too_old(edge: Edge):
    async def asked(client: httpx.AsyncClient, later: timedelta) -> int:
        edge.later = later
        before = len(edge.github.asked)
        assert (await client.get(f"/api/repositories/{TALLY.id}")).status_code == 200
        return len(edge.github.asked) - before

    async with edge.admin("ada") as ada:
        assert await asked(ada, timedelta(0)) == 1
        assert await asked(ada, timedelta(minutes=9)) == 0
        assert await asked(ada, timedelta(minutes=11)) == 1
        edge.later = timedelta(seconds=0)
        await edge.task(ada)
        before = len(edge.github.asked)
        edge.later = timedelta(seconds=50)
        await edge.task(ada)
        assert len(edge.github.asked) == before
        edge.later = timedelta(seconds=70)
        await edge.task(ada)
        assert len(edge.github.asked) == before + 1


async def test_a_right_that_was_taken_away_ends_at_the_next_check(edge: Edge):
    async with edge.admin("ada") as ada:
        await edge.task(ada)
        edge.github.rights[("ada", TALLY.id)] = Access.READ
        edge.later = timedelta(seconds=61)
        refused = await ada.post(TASKS, json={"repository": TALLY.id, "prompt": "x"})
        problem(refused, 403, "forbidden", "repository")


async def test_while_github_is_away_readers_go_on_for_a_while_and_nobody_changes(edge: Edge):
    async with edge.admin("ada") as ada:
        assert (await ada.get(f"/api/repositories/{TALLY.id}")).status_code == 200
        edge.github.fail["permission"] = [GitHubUnavailable("GitHub is away") for _ in range(9)]
        edge.later = timedelta(minutes=30)
        assert (await ada.get(f"/api/repositories/{TALLY.id}")).status_code == 200
        answer = await ada.post(TASKS, json={"repository": TALLY.id, "prompt": "x"})
        assert problem(answer, 503, "github_unavailable")["remedy"]
        assert answer.headers["retry-after"]
        edge.later = timedelta(minutes=61)
        problem(await ada.get(f"/api/repositories/{TALLY.id}"), 503, "github_unavailable")


@pytest.fixture
async def failing(edge: Edge) -> Edge:
    """One issue of a private repository's task, one of the organization itself, one of the app."""
    async with edge.admin("ada") as ada:
        task = await edge.task(ada)
    for scope, actor in ((ORG, f"Task:{task['id']}"), (ORG, f"GitHubState:{ORG}"), ("app", "GitHubState:app")):
        failure = Failure(
            kind=IssueKind.WORKFLOW_FAILED, actor=actor, scope=ScopeId(scope), fingerprint=actor,
            message=f"{actor} failed", remedy="Retry",
        )  # fmt: skip
        await edge.world.ask(addresses.coordinator(ScopeId(scope)), RecordFailure(failure=failure))
    return edge


async def told(client: httpx.AsyncClient, path: str = f"/api/organizations/{ORG}/issues") -> set[str]:
    return {issue["failure"]["actor"].split(":")[0] for issue in (await client.get(path)).json()}


async def test_issues_are_for_whoever_may_see_what_they_are_about(failing: Edge):
    async with failing.admin("ada") as ada, failing.admin("grace") as grace, failing.admin("bob") as bob:
        assert await told(ada) == {"Task", "GitHubState"}
        assert await told(grace) == {"Task"}  # reads the repository, but is not of the organization
        assert await told(bob) == set()
    bob_browser = await failing.browser(next(p for p in await _people(failing) if p.login == "bob"))
    assert await told(bob_browser, "/api/app/issues") == set()
    ada_browser = await failing.browser(next(p for p in await _people(failing) if p.login == "ada"))
    assert await told(ada_browser, "/api/app/issues") == {"GitHubState"}


async def test_issues_are_cleared_one_or_all_by_whoever_may(failing: Edge):
    issues = f"/api/organizations/{ORG}/issues"
    async with failing.admin("ada") as ada, failing.admin("grace") as grace:
        of_task = next(i for i in (await ada.get(issues)).json() if i["failure"]["actor"].startswith("Task"))
        problem(await grace.delete(f"{issues}/{of_task['id']}"), 403, "forbidden", "issue")
        assert (await grace.delete(issues)).json() == {"cleared": 0}
        assert (await ada.delete(f"{issues}/{of_task['id']}")).json() == {"cleared": 1}
        problem(await ada.delete(f"{issues}/{of_task['id']}"), 404, "not_found", "issue")
        problem(await ada.post(f"{issues}/{of_task['id']}/retry"), 404, "not_found", "issue")
        assert (await ada.delete(issues)).json() == {"cleared": 1}
        assert (await ada.get(issues)).json() == []
        assert (await ada.delete("/api/app/issues")).json() == {"cleared": 1}


async def _people(edge: Edge):
    from foundry.actors.user_github_data.views import people

    return await edge.runtime.read(people)


async def test_a_database_that_is_away_is_said_and_nothing_is_applied(edge: Edge, monkeypatch: pytest.MonkeyPatch):
    async def away(*_: object, **__: object) -> None:
        raise Unavailable("the store did not take the command")

    async with edge.admin("ada") as ada:
        monkeypatch.setattr(edge.runtime, "ask", away)
        answer = await ada.post(TASKS, json={"repository": SITE.id, "prompt": "x"})
    assert answer.status_code == 503
    assert answer.json()["code"] == "unavailable"
