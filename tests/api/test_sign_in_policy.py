"""Who may sign in: the people of organizations that have the App, unless settings say otherwise."""

from __future__ import annotations

import asyncio

import pytest

from foundry.actors.user_github_data.views import github_connection, people, sealed_tokens
from foundry.contracts import addresses
from foundry.contracts.github_access import Reached, Role
from foundry.contracts.github_state import InstallationSummary, RecordInstallations
from foundry.contracts.ids import OrganizationId
from foundry.contracts.people import Access, Person
from foundry.contracts.sign_in import SignInPolicy
from foundry.contracts.user_github_data import ConnectionState, ForgetTokens
from foundry.github.errors import GitHubUnavailable
from tests.api.edge import ADA, BOB, GRACE, SITE, Edge
from tests.api.problems import problem
from tests.api.test_signing_in import sign_in


async def gets_in(edge: Edge, person: Person) -> bool:
    async with edge.client() as browser:
        back = await sign_in(browser, person.id)
        if back.status_code == 302:
            return (await browser.get("/api/app")).json()["person"]["id"] == person.id
        refused = problem(back, 403, "sign_in_refused")
        assert person.login in refused["detail"]
        assert (await browser.get("/api/app")).status_code == 401
        return False


async def test_members_and_people_who_push_get_in_and_others_are_told_why(edge: Edge):
    assert await gets_in(edge, ADA), "a member"
    assert not await gets_in(edge, GRACE), "she only reads"
    assert not await gets_in(edge, BOB), "a stranger"
    edge.github.rights[(BOB.id, SITE.id)] = Access.WRITE
    edge.github.roles[GRACE.id] = Role.MEMBER
    edge.later = edge.foundry.access_times.read
    assert await gets_in(edge, BOB)
    assert await gets_in(edge, GRACE)


async def test_nothing_at_all_is_kept_of_a_stranger_who_is_refused(edge: Edge):
    """Else any stranger makes the admin token ambiguous, and `--as` could mean who took over a login."""
    before = await edge.runtime.read(people)
    assert BOB in before, "the stage knows him"
    await edge.runtime.ask(addresses.user_github_data(BOB.id), ForgetTokens(stranger=True))
    assert not await gets_in(edge, BOB)
    assert BOB.id not in {one.id for one in await edge.runtime.read(people)}


async def test_nothing_is_kept_of_the_tokens_of_somebody_who_is_refused(edge: Edge):
    assert not await gets_in(edge, BOB)
    kept = await edge.runtime.read(sealed_tokens, BOB.id)
    assert (kept.access_token, kept.refresh_token) == ("", None)


async def test_a_sign_in_that_fails_while_github_is_away_costs_a_known_person_nothing(edge: Edge):
    """Their other app sessions go on with the new tokens."""
    async with await edge.browser(ADA) as ada:
        assert (await ada.get("/api/app")).status_code == 200
        edge.later = edge.foundry.access_times.read
        edge.github.fail["access"] = [GitHubUnavailable("GitHub is away") for _ in range(9)]
        async with edge.client() as browser:
            problem(await sign_in(browser, ADA.id), 503, "github_unavailable")
        edge.github.fail["access"] = []
        connection = await edge.runtime.read(github_connection, ADA.id)
        assert (connection.state, connection.reason) == (ConnectionState.CONNECTED, "")


def test_only_digits_are_an_id_and_never_a_login() -> None:
    """Anybody may register the login 2001, which the settings mean as an organization's id."""
    policy = SignInPolicy(organizations=["2001", "Lumen-Works"], logins=["1001", "Bob"])
    assert policy.installs("2001", "whatever")
    assert policy.installs("7", "lumen-works")
    assert not policy.installs("666", "2001")
    assert policy.names("1001", "renamed")
    assert policy.names("7", "bob")
    assert not policy.names("666", "1001")


async def test_a_browser_shows_one_page_that_says_why(edge: Edge):
    async with edge.client(Accept="text/html") as browser:
        back = await sign_in(browser, BOB.id)
        assert back.status_code == 403
        assert "bob belongs to no organization that has the GitHub App" in back.json()["detail"]


@pytest.mark.parametrize(
    ("policy", "let_in"),
    [
        (SignInPolicy(organizations=["Lumen-Works"]), {"ada"}),
        (SignInPolicy(organizations=["2001"]), {"ada"}),
        (SignInPolicy(organizations=["north-harbor"]), set()),
        (SignInPolicy(logins=["Bob"]), {"bob"}),
        (SignInPolicy(organizations=["lumen-works"], logins=["bob"]), {"ada", "bob"}),
        (SignInPolicy(logins=["*"]), {"ada", "grace", "bob"}),
    ],
)
async def test_settings_name_organizations_and_people(edge: Edge, policy: SignInPolicy, let_in: set[str]):
    edge.foundry.sign_in_policy = policy
    assert {one.login for one in (ADA, GRACE, BOB) if await gets_in(edge, one)} == let_in


async def test_while_github_does_not_say_where_somebody_belongs_nobody_gets_in(edge: Edge):
    edge.github.fail["access"] = [GitHubUnavailable("GitHub is away") for _ in range(9)]
    async with edge.client() as browser:
        problem(await sign_in(browser, ADA.id), 503, "github_unavailable")
    edge.github.fail["access"] = []
    assert await gets_in(edge, ADA)


async def test_who_comes_before_the_first_sync_waits_for_it(edge: Edge, monkeypatch: pytest.MonkeyPatch):
    asked = asyncio.Event()

    async def reached(person: object) -> Reached:
        asked.set()
        return Reached(installations=[7])

    monkeypatch.setattr(edge.github, "reached", reached)
    edge.github.roles[BOB.id] = Role.OWNER
    coming = asyncio.create_task(gets_in(edge, BOB))
    await asked.wait()
    assert not coming.done(), "whether the App is installed for him is not known yet"
    other = InstallationSummary(id=7, organization=OrganizationId("2007"), login="bobs-works", active=True)
    await edge.world.ask(addresses.github_app(), RecordInstallations(installations=[other]))
    assert await coming


async def test_who_comes_while_the_first_sync_does_not_end_may_try_again(edge: Edge, monkeypatch: pytest.MonkeyPatch):
    async def reached(person: object) -> Reached:
        return Reached(installations=[7])

    monkeypatch.setattr(edge.github, "reached", reached)
    edge.foundry.first_sync = 0.1
    async with edge.client() as browser:
        back = problem(await sign_in(browser, BOB.id), 503, "unavailable")
        assert back["remedy"] == "Try again in a moment."
