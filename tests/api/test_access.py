"""A person sees and changes what GitHub lets them; what may not be known looks as if it did not exist."""

from __future__ import annotations

from datetime import timedelta

import httpx2 as httpx
import pytest

from foundry.api.access_asker import AccessAsker
from foundry.contracts import addresses
from foundry.contracts.errors import Unavailable
from foundry.contracts.github_state import InstallationRevoked
from foundry.contracts.issues import Failure, IssueKind, RecordFailure
from foundry.contracts.messages import ScopeId
from foundry.contracts.organization import SetPublicWork
from foundry.contracts.people import Access
from foundry.github.errors import GitHubUnavailable
from tests.api.edge import ADA, BOB, GRACE, ORG, SITE, TALLY, Edge
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
        problem(await bob.post(TASKS, json={"repository": TALLY.id, "prompt": "x"}), 404, "not_found", "organization")
        await edge.gives(BOB, SITE, Access.READ)
        unknown = problem(
            await bob.post(TASKS, json={"repository": "lumen-works/tally", "prompt": "x"}),
            422, "unknown_repository", "repository",
        )  # fmt: skip
        none = await bob.post(TASKS, json={"repository": "lumen-works/other", "prompt": "x"})
        assert none.json()["detail"] == unknown["detail"].replace("tally", "other")


async def test_lists_show_what_a_person_may_read(edge: Edge):
    edge.github.rights[(BOB.id, SITE.id)] = Access.READ
    async with edge.admin("ada") as ada, edge.admin("bob") as bob:
        for repository in (TALLY, SITE):
            await edge.task(ada, repository=repository.full_name)
        await edge.until(ada, TASKS, lambda found: len(found) == 2)
        assert [task["repository"]["name"] for task in (await bob.get(TASKS)).json()] == ["site"]
        repositories = f"/api/organizations/{ORG}/repositories"
        assert [one["name"] for one in (await bob.get(repositories)).json()] == ["site"]
        assert [one["name"] for one in (await ada.get(repositories)).json()] == ["site", "tally"]
        assert [one["login"] for one in (await bob.get("/api/app")).json()["organizations"]] == ["lumen-works"]


async def test_the_list_of_repositories_is_the_models_json(edge: Edge):
    """It is sent as the rows have it. If this fails because RepositoryRef has a new field, write the rows again too."""
    async with edge.admin("ada") as ada:
        answer = await ada.get(f"/api/organizations/{ORG}/repositories")
    assert answer.headers["content-type"] == "application/json"
    assert answer.text == f"[{SITE.model_dump_json()},{TALLY.model_dump_json()}]"
    row_of_0_3 = (
        '{"id":"4001","organization":"2001","owner":"lumen-works","name":"tally",'
        '"default_branch":"main","private":true,"clone_url":"","html_url":""}'
    )
    assert TALLY.model_dump_json() == row_of_0_3


async def test_work_on_a_public_repository_is_private_to_the_organizations_people(edge: Edge):
    async with edge.admin("ada") as ada, edge.admin("bob") as bob:
        task = f"/api/tasks/{(await edge.task(ada, repository=SITE.full_name))['id']}"
        assert (await bob.get("/api/app")).json()["organizations"] == []
        for path in (f"/api/organizations/{ORG}", TASKS, f"/api/repositories/{SITE.id}", task, f"{task}/checkpoints"):
            assert (await bob.get(path)).status_code == 404
        problem(await bob.get(f"/api/realtime?topic=task&id={task[11:]}"), 404, "not_found")
        assert edge.github.asked.count((BOB.id, "reach")) == 1
        assert {who for who, _ in edge.github.asked} == {ADA.id, BOB.id}, "a stranger costs one question"


async def test_an_organization_may_show_its_public_work_to_whoever_signs_in(edge: Edge):
    async with edge.admin("ada") as ada, edge.admin("bob") as bob:
        for repository in (TALLY, SITE):
            await edge.task(ada, repository=repository.full_name)
        await edge.until(ada, TASKS, lambda found: len(found) == 2)
        await edge.world.ask(addresses.organization(ORG), SetPublicWork(shown=True))
        assert [task["repository"]["name"] for task in (await bob.get(TASKS)).json()] == ["site"]
        assert (await bob.get(f"/api/repositories/{SITE.id}")).status_code == 200
        problem(await bob.get(f"/api/repositories/{TALLY.id}"), 404, "not_found", "repository")
        refused = await bob.post(TASKS, json={"repository": SITE.full_name, "prompt": "x"})
        problem(refused, 403, "forbidden", "repository")
        await edge.world.ask(addresses.organization(ORG), SetPublicWork(shown=False))
        problem(await bob.get(f"/api/repositories/{SITE.id}"), 404, "not_found", "repository")


async def test_rights_are_asked_for_again_when_they_are_too_old(edge: Edge):
    async def asked(client: httpx.AsyncClient, later: timedelta) -> list[str]:
        edge.later = later
        before = len(edge.github.asked)
        assert (await client.get(f"/api/repositories/{TALLY.id}")).status_code == 200
        return [what for _, what in edge.github.asked[before:]]

    async with edge.admin("ada") as ada:
        assert await asked(ada, timedelta(0)) == ["reach", "role", "listing"]
        assert await asked(ada, timedelta(minutes=7)) == []
        assert await asked(ada, timedelta(minutes=11)) == ["reach", "role", "listing"]


async def test_a_change_asks_for_that_one_repository_when_the_answer_is_older_than_a_minute(edge: Edge):
    async with edge.admin("ada") as ada:
        await edge.task(ada)
        before = len(edge.github.asked)
        edge.later = timedelta(seconds=50)
        await edge.task(ada)
        assert len(edge.github.asked) == before
        edge.later = timedelta(seconds=70)
        await edge.task(ada)
        assert edge.github.asked[before:] == [(ADA.id, "tally")]


async def test_a_right_that_was_taken_away_ends_at_the_next_check(edge: Edge):
    async with edge.admin("ada") as ada:
        await edge.task(ada)
        edge.github.rights[(ADA.id, TALLY.id)] = Access.READ
        edge.later = timedelta(seconds=61)
        refused = await ada.post(TASKS, json={"repository": TALLY.id, "prompt": "x"})
        problem(refused, 403, "forbidden", "repository")


async def test_while_github_is_away_readers_go_on_for_a_while_and_nobody_changes(edge: Edge):
    async with edge.admin("ada") as ada:
        assert (await ada.get(f"/api/repositories/{TALLY.id}")).status_code == 200
        edge.github.fail["access"] = [GitHubUnavailable("GitHub is away") for _ in range(99)]
        edge.later = timedelta(minutes=30)
        assert (await ada.get(f"/api/repositories/{TALLY.id}")).status_code == 200
        answer = await ada.post(TASKS, json={"repository": TALLY.id, "prompt": "x"})
        assert problem(answer, 503, "github_unavailable")["remedy"]
        assert answer.headers["retry-after"]
        edge.later = timedelta(minutes=61)
        problem(await ada.get(f"/api/repositories/{TALLY.id}"), 503, "github_unavailable")


async def test_what_a_webhook_took_away_is_gone_at_once(edge: Edge):
    async with edge.admin("grace") as grace:
        assert (await grace.get(f"/api/repositories/{TALLY.id}")).status_code == 200
        await edge.gives(GRACE, TALLY, Access.NONE)
        problem(await grace.get(f"/api/repositories/{TALLY.id}"), 404, "not_found", "repository")
        assert [one["name"] for one in (await grace.get(f"/api/organizations/{ORG}/repositories")).json()] == ["site"]
        await edge.gives(GRACE, TALLY, Access.WRITE)
        assert (await grace.get(f"/api/repositories/{TALLY.id}")).status_code == 200


async def test_a_member_who_never_looked_is_told_too_that_the_app_was_removed(edge: Edge):
    await edge.world.say(InstallationRevoked(installation=1), to=addresses.github(ORG))
    async with edge.admin("ada") as ada, edge.admin("grace") as grace:
        problem(await ada.get(f"/api/organizations/{ORG}"), 409, "github_not_installed", "organization")
        problem(await grace.get(f"/api/organizations/{ORG}"), 404, "not_found", "organization")
        assert (await ada.get("/api/app")).json()["organizations"] == []


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
        problem(await bob.get(f"/api/organizations/{ORG}/issues"), 404, "not_found", "organization")
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


async def test_while_github_hangs_a_reader_waits_a_moment_and_goes_on(edge: Edge):
    async with edge.admin("ada") as ada:
        assert (await ada.get(f"/api/repositories/{TALLY.id}")).status_code == 200
        hangs = edge.github.hold("access")
        edge.foundry.asker = AccessAsker(edge.runtime, edge.github, edge.clock.now, edge.foundry.metrics, patience=0.1)
        edge.later = timedelta(minutes=30)
        assert (await ada.get(f"/api/repositories/{TALLY.id}")).status_code == 200
        problem(await ada.post(TASKS, json={"repository": TALLY.id, "prompt": "x"}), 503, "unavailable")
        hangs.set()
        await edge.foundry.asker.stop()


async def test_a_question_that_has_just_failed_is_not_asked_again_at_once(edge: Edge):
    edge.foundry.asker = AccessAsker(edge.runtime, edge.github, edge.clock.now, edge.foundry.metrics)
    edge.github.fail["access"] = [GitHubUnavailable("GitHub is away")]
    async with edge.admin("ada") as ada:
        for _ in range(3):
            problem(await ada.get(f"/api/repositories/{TALLY.id}"), 503, "github_unavailable")
    assert edge.github.asked == [(ADA.id, "reach")]
