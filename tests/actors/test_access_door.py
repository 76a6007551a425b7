"""What GitHub says about people's access, asked of the stand-in over HTTP: in whose name, by number, within budgets."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundry.actors.github_state.access_door import AccessOutside
from foundry.actors.github_state.access_views import memberships
from foundry.contracts import addresses
from foundry.contracts.github_access import EVERYBODY, AccessChanged, Role, SingleRight, SingleSignOnNeeded
from foundry.contracts.github_state import NotInstalled
from foundry.contracts.ids import OrganizationId, RepositoryId, UserId
from foundry.contracts.people import Access, Person
from foundry.contracts.user_github_data import ReconnectNeeded
from foundry.github.errors import GitHubRateLimited
from tests.actors.github_stage import GitHubStage, github_stage
from tests.actors.tree import ADA, ORG, REPO
from tests.waiting import eventually

GRACE, LINUS, MARGARET = (
    Person(id=UserId(str(id)), login=login) for id, login in ((1002, "grace"), (1003, "linus"), (1004, "margaret"))
)
MANY = 230  # repositories: three pages


def local(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/foundry.db"


def door(stage: GitHubStage) -> AccessOutside:
    return AccessOutside(stage.client, stage.door.as_person, stage.tree.read)


async def gives(stage: GitHubStage, login: str, role: str) -> None:
    await stage.control("PUT", f"repositories/{REPO}/access/{login}", {"role": role})


async def charged(stage: GitHubStage) -> dict[str, int]:
    """Requests that used somebody's budget since the last look."""
    url = f"{stage.sample.url}/_devkit/requests"
    found = (await stage.http.get(url)).json()
    await stage.http.delete(url)
    return {who: one["charged"] for who, one in found.items() if one["charged"]}


async def test_a_person_reaches_what_github_says_in_their_own_name(tmp_path: Path) -> None:
    async with github_stage(local(tmp_path), tmp_path) as stage:
        await stage.synced()
        for person in (ADA, MARGARET):
            await stage.sign_in(person)
        access = door(stage)
        await charged(stage)
        assert (await access.reached(ADA.id)).installations == [3001, 3002]
        assert (await access.reached(MARGARET.id)).installations == [3002]
        assert await access.role(ADA.id, ORG) is Role.OWNER
        assert await access.role(ADA.id, OrganizationId("2002")) is Role.MEMBER
        assert await access.role(MARGARET.id, ORG) is Role.NONE
        assert await access.role(ADA.id, OrganizationId(ADA.id)) is Role.OWNER
        assert await access.right(ADA.id, REPO) == SingleRight(access=Access.ADMIN)
        assert await access.right(MARGARET.id, REPO) == SingleRight(access=Access.NONE)
        assert await access.right(ADA.id, RepositoryId("999")) == SingleRight(access=Access.NONE)
        assert set(await charged(stage)) == {"user:1001", "user:1004"}


async def test_a_listing_has_every_page_and_an_unchanged_page_costs_nothing(tmp_path: Path) -> None:
    async with github_stage(local(tmp_path), tmp_path) as stage:
        await stage.synced()
        await stage.control("PUT", "organizations/lumen-works/many", {"count": MANY, "access": {"grace": "write"}})
        await stage.sign_in(GRACE)
        access, etags, rights = door(stage), list[str](), dict[str, Access]()
        await charged(stage)
        for number in (1, 2, 3):
            page = await access.listed(GRACE.id, ORG, number, "")
            assert page is not None
            assert (page.last, page.total >= MANY) == (number == 3, True)
            etags.append(page.etag)
            rights |= {one.repository: one.access for one in page.rights}
        assert len(rights) == page.total
        assert list(rights.values()).count(Access.WRITE) >= MANY
        assert await charged(stage) == {"user:1002": 3}
        for number, etag in enumerate(etags, 1):
            assert await access.listed(GRACE.id, ORG, number, etag) is None
        assert await charged(stage) == {}
        ids = [one for one, right in rights.items() if right is Access.WRITE]
        await stage.control("PUT", f"repositories/{ids[-1]}/access/grace", {"role": "none"})
        changed = await access.listed(GRACE.id, ORG, 3, etags[2])
        assert changed is not None
        assert changed.total == page.total - 1


async def test_who_does_not_reach_the_organization_has_an_empty_listing(tmp_path: Path) -> None:
    async with github_stage(local(tmp_path), tmp_path) as stage:
        await stage.synced()
        await stage.sign_in(MARGARET)
        page = await door(stage).listed(MARGARET.id, ORG, 1, "")
        assert page is not None
        assert (page.rights, page.total, page.last) == ([], 0, True)


async def test_everybodys_listing_has_public_repositories_alone(tmp_path: Path) -> None:
    async with github_stage(local(tmp_path), tmp_path) as stage:
        await stage.synced()
        for private in (True, False):
            await stage.control("PATCH", f"repositories/{REPO}", {"private": private})
            page = await door(stage).listed(EVERYBODY, ORG, 1, "")
            assert page is not None
            assert ((REPO, Access.READ) in {(one.repository, one.access) for one in page.rights}) is not private


async def test_one_right_of_a_person_without_a_token_is_asked_by_the_app(tmp_path: Path) -> None:
    async with github_stage(local(tmp_path), tmp_path) as stage:
        await stage.synced()
        await gives(stage, "linus", "read")
        access = door(stage)
        await charged(stage)
        for person, expected in ((ADA, Access.ADMIN), (LINUS, Access.READ), (MARGARET, Access.NONE)):
            assert (await access.right_by_app(person.id, ORG, REPO)).access is expected
        assert (await access.right_by_app(UserId("424242"), ORG, REPO)).access is Access.NONE
        assert (await access.right_by_app(ADA.id, ORG, RepositoryId("999"))).access is Access.NONE
        assert set(await charged(stage)) == {"installation:3001"}
        with pytest.raises(NotInstalled):
            await access.right_by_app(ADA.id, OrganizationId("77"), REPO)


async def test_who_takes_over_a_login_gets_nothing_of_its_former_owners(tmp_path: Path) -> None:
    async with github_stage(local(tmp_path), tmp_path) as stage:
        await stage.synced()
        await stage.sign_in(ADA)
        await stage.control("PATCH", "people/ada", {"login": "ada-byron"})
        made = await stage.http.post(f"{stage.sample.url}/_devkit/people", json={"login": "ada"})
        other = Person(id=UserId(str(made.json()["id"])), login="ada")
        await stage.sign_in(other)
        access = door(stage)
        assert (await access.right_by_app(other.id, ORG, REPO)).access is Access.NONE
        assert (await access.right(other.id, REPO)).access is Access.NONE
        assert (await access.reached(other.id)).installations == []
        assert await access.role(other.id, ORG) is Role.NONE
        assert (await access.right_by_app(ADA.id, ORG, REPO)).access is Access.ADMIN
        assert (await access.right(ADA.id, REPO)).access is Access.ADMIN
        assert await access.role(ADA.id, ORG) is Role.OWNER
        await stage.synced()
        assert await stage.tree.read(memberships, ADA.id) == {ORG: Role.OWNER, OrganizationId("2002"): Role.MEMBER}
        assert await stage.tree.read(memberships, other.id) == {}


async def test_single_sign_on_is_said_with_where_to_go(tmp_path: Path) -> None:
    async with github_stage(local(tmp_path), tmp_path) as stage:
        await stage.synced()
        await stage.sign_in(ADA)
        await stage.control("PATCH", "organizations/lumen-works", {"sso": True})
        access = door(stage)
        for question in (
            access.role(ADA.id, ORG), access.listed(ADA.id, ORG, 1, ""), access.right(ADA.id, REPO),
        ):  # fmt: skip
            with pytest.raises(SingleSignOnNeeded) as caught:
                await question
            assert "/orgs/lumen-works/sso?authorization_request=" in caught.value.remedy
        reached = await access.reached(ADA.id)
        assert (reached.installations, reached.single_sign_on) == ([3002], [ORG])
        assert (await access.right_by_app(ADA.id, ORG, REPO)).access is Access.ADMIN, "the App needs no sign-on"
        await stage.control("PUT", "organizations/lumen-works/sessions/ada", {"active": True})
        assert (await access.right(ADA.id, REPO)).access is Access.ADMIN


async def test_a_token_that_github_rejects_means_to_connect_again(tmp_path: Path) -> None:
    async with github_stage(local(tmp_path), tmp_path) as stage:
        await stage.synced()
        await stage.sign_in(ADA)
        access = door(stage)
        assert await access.role(ADA.id, ORG) is Role.OWNER
        await stage.http.delete(f"{stage.sample.url}/_devkit/people/ada/authorization")
        for question in (access.reached(ADA.id), access.listed(ADA.id, ORG, 1, ""), access.right(ADA.id, REPO)):
            with pytest.raises(ReconnectNeeded):
                await question
        with pytest.raises(ReconnectNeeded):
            await access.reached(GRACE.id)  # never signed in


async def test_below_a_fifth_of_the_budget_access_is_not_asked_and_work_goes_on(tmp_path: Path) -> None:
    async with github_stage(local(tmp_path), tmp_path) as stage:
        await stage.synced()
        await stage.sign_in(ADA)
        access = door(stage)

        async def left(remaining: int) -> None:
            await stage.control("PUT", "budgets/installation:3001", {"remaining": remaining})
            await stage.synced()

        await left(1100)
        assert (await access.right_by_app(ADA.id, ORG, REPO)).access is Access.ADMIN
        await left(990)
        for question in (access.right_by_app(ADA.id, ORG, REPO), access.listed(EVERYBODY, ORG, 1, "")):
            with pytest.raises(GitHubRateLimited, match="kept for pushes and webhooks") as caught:
                await question
            assert caught.value.transient
        await stage.push("still-pushed")
        await stage.synced()
        assert "still-pushed" in await stage.door.branch_names(stage.repository)
        assert (await access.right(ADA.id, REPO)).access is Access.ADMIN, "a person's own budget is another one"


async def test_a_webhook_of_github_ends_one_persons_answer(tmp_path: Path) -> None:
    async with github_stage(local(tmp_path), tmp_path, webhooks=True) as stage:
        await stage.synced()
        await gives(stage, "linus", "read")
        await stage.sign_in(LINUS)
        assert await door(stage).right(LINUS.id, REPO) == SingleRight(access=Access.READ)
        await gives(stage, "linus", "write")

        async def told() -> list[tuple[str | None, str | None]]:
            events = await stage.tree.events(addresses.github(ORG))
            found = [AccessChanged.model_validate_json(body) for word, body in events if word == "AccessChanged"]
            return [(one.person, one.repository) for one in found]

        await eventually(told, lambda found: found == [(LINUS.id, REPO)] * 2)
        assert await door(stage).right(LINUS.id, REPO) == SingleRight(access=Access.WRITE)
