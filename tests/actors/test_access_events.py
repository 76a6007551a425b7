"""Which webhooks say that people's rights may be others now: whose rights to what count no more, and who is told."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from foundry.actors.github_state.access_views import Asking, memberships, reach_of
from foundry.actors.github_state.views import members
from foundry.contracts import addresses
from foundry.contracts.github_access import TIMES, AccessChanged, Outdated, Reached, RecordReach, Role
from foundry.contracts.github_state import Member, RecordMembers, SyncInstallations, delivery
from foundry.contracts.ids import UserId
from foundry.runtime.reader import Reader
from tests.actors.access_stage import ANN, BOB, HERE, START, W, asks, at, counter, may, page, repository, whole
from tests.actors.tree import ORG, tree
from tests.world.world import World

APP_STATE = addresses.github_app()
ACCOUNT = {"id": int(ORG), "login": "lumen-works", "type": "Organization"}
ANN_THERE = {"id": int(ANN), "login": "ann", "type": "User"}
ONE = {"id": 5001, "name": "one", "owner": ACCOUNT, "updated_at": "2026-03-01T12:00:00Z"}
ELSEWHERE = {**ONE, "owner": {"id": 9, "login": "zed", "type": "User"}}
TEAM = {"id": 8001, "name": "crew", "slug": "crew"}
MEMBERSHIP = {"user": ANN_THERE, "role": "member", "state": "active"}
NO_ONE, EACH = None, None

numbers = itertools.count()


async def deliver(stage: World, event: str, action: str, **payload: Any) -> None:
    body = {"action": action, "installation": {"id": 3001}, "organization": ACCOUNT, **payload}
    if event == "installation":
        body["installation"] = {"id": 3001, "account": ACCOUNT}
    await stage.ask(APP_STATE, delivery(f"d{next(numbers)}", event, json.dumps(body).encode()))
    await stage.quiet()


async def installed(stage: World) -> None:
    await stage.ask(APP_STATE, SyncInstallations())
    await deliver(stage, "installation", "created")


async def told(stage: World) -> list[tuple[UserId | None, str | None]]:
    """Whom to watch for, and where: what each event of the topic said."""
    found = [
        AccessChanged.model_validate_json(body) for word, body in await stage.events(HERE) if word == "AccessChanged"
    ]
    return [(one.person, one.repository) for one in found]


CHANGES = {
    "collaborator added": ("member", "added", {"member": ANN_THERE, "repository": ONE}, ANN, 1),
    "collaborator's right changed": ("member", "edited", {"member": ANN_THERE, "repository": ONE}, ANN, 1),
    "collaborator removed": ("member", "removed", {"member": ANN_THERE, "repository": ONE}, ANN, 1),
    "somebody joined a team": ("membership", "added", {"member": ANN_THERE, "team": TEAM, "scope": "team"}, ANN, EACH),
    "somebody left a team": ("membership", "removed", {"member": ANN_THERE, "team": TEAM, "scope": "team"}, ANN, EACH),
    "a team left a repository": ("team", "removed_from_repository", {"team": TEAM, "repository": ONE}, NO_ONE, 1),
    "a team came to a repository": ("team", "added_to_repository", {"team": TEAM, "repository": ONE}, NO_ONE, 1),
    "a team's right changed": ("team", "edited", {"team": TEAM, "repository": ONE}, NO_ONE, 1),
    "a team was deleted": ("team", "deleted", {"team": TEAM}, NO_ONE, EACH),
    "a repository was added to a team": ("team_add", "", {"team": TEAM, "repository": ONE}, NO_ONE, 1),
    "somebody joined the organization": ("organization", "member_added", {"membership": MEMBERSHIP}, ANN, EACH),
    "somebody left the organization": ("organization", "member_removed", {"membership": MEMBERSHIP}, ANN, EACH),
    "the organization was deleted": ("organization", "deleted", {}, NO_ONE, EACH),
    "a repository was created": ("repository", "created", {"repository": ONE}, NO_ONE, 1),
    "a repository became public": ("repository", "publicized", {"repository": ONE}, NO_ONE, 1),
    "public, as GitHub also says it": ("public", "", {"repository": ONE}, NO_ONE, 1),
    "a repository became private": ("repository", "privatized", {"repository": ONE}, NO_ONE, 1),
    "a repository came": ("repository", "transferred", {"repository": ONE}, NO_ONE, 1),
    "a repository went elsewhere": ("repository", "transferred", {"repository": ELSEWHERE}, NO_ONE, 1),
    "a repository was renamed": ("repository", "renamed", {"repository": ONE}, NO_ONE, 1),
    "a repository was archived": ("repository", "archived", {"repository": ONE}, NO_ONE, 1),
    "a repository was deleted": ("repository", "deleted", {"repository": ONE}, NO_ONE, 1),
    "the App was given a repository": (
        "installation_repositories", "added", {"repositories_added": [{"id": 5001, "name": "one"}]}, NO_ONE, 1,
    ),
    "a repository was taken from the App": (
        "installation_repositories", "removed", {"repositories_removed": [{"id": 5001, "name": "one"}]}, NO_ONE, 1,
    ),
    "the App was suspended": ("installation", "suspend", {}, NO_ONE, EACH),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
async def test_what_it_concerns_is_asked_for_again_and_nothing_else(tmp_path: Path, what: str) -> None:
    event, action, payload, person, number = CHANGES[what]
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        await installed(stage)
        for who in (ANN, BOB):
            await whole(stage, page(1, 2, total=2, last=True), person=who)
        before = len(await told(stage))
        await deliver(stage, event, action, **payload)
        assert (await told(stage))[before:] == [(person, None if number is None else repository(number))]
        if action == "suspend":
            await deliver(stage, "installation", "unsuspend")
        ann, bob = await may(stage, 1, when=1), await may(stage, 1, BOB, when=1)
        assert asks(ann, number)
        assert bob is W if person is ANN else asks(bob, number)


HARMLESS = {
    "a repository's description changed": ("repository", "edited", {"repository": ONE}),
    "a team was created": ("team", "created", {"team": TEAM}),
    "somebody was invited": ("organization", "member_invited", {"invitation": {"login": "zed"}}),
    "the organization has another name": ("organization", "renamed", {}),
    "a push": ("push", "", {"repository": ONE, "ref": "refs/heads/x", "after": "1" * 40}),
    "a star": ("star", "created", {"repository": ONE}),
}


@pytest.mark.parametrize("what", HARMLESS)
async def test_what_changes_nobodys_rights_costs_no_question(tmp_path: Path, what: str) -> None:
    event, action, payload = HARMLESS[what]
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        await installed(stage)
        await whole(stage, page(1, total=1, last=True))
        before = await told(stage), await counter(stage)
        await deliver(stage, event, action, **payload)
        assert (await told(stage), await counter(stage)) == before
        assert await may(stage, 1, when=1) is W


async def test_a_long_choice_of_repositories_asks_for_whole_listings(tmp_path: Path) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        await installed(stage)
        many = [{"id": 6000 + number, "name": f"r{number}"} for number in range(21)]
        await deliver(stage, "installation_repositories", "added", repositories_added=many)
        assert await told(stage) == [(None, None)]


async def test_more_than_five_changed_repositories_are_asked_for_together(tmp_path: Path) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        await installed(stage)
        await whole(stage, page(*range(1, 9), total=8, last=True))
        for number in range(1, 7):
            one = {**ONE, "id": 5000 + number}
            await deliver(stage, "team", "added_to_repository", team=TEAM, repository=one)
            assert asks(await may(stage, 8, when=1), 1 if number <= 5 else None)


async def test_who_joins_and_leaves_the_organization_is_a_member_at_once(tmp_path: Path) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        await installed(stage)
        await stage.ask(HERE, RecordMembers(members=[Member(id=BOB, login="bob")]))
        await deliver(stage, "organization", "member_added", membership={**MEMBERSHIP, "role": "admin"})
        assert await stage.read(memberships, ANN) == {ORG: Role.OWNER}
        await deliver(stage, "organization", "member_added", membership=MEMBERSHIP)
        known = [(one.id, one.login, one.role) for one in await stage.read(members, ORG)]
        assert known == [(ANN, "ann", Role.MEMBER), (BOB, "bob", Role.MEMBER)]
        await deliver(stage, "organization", "member_removed", membership=MEMBERSHIP)
        assert await stage.read(memberships, ANN) == {}
        assert await stage.read(memberships, BOB) == {ORG: Role.MEMBER}
        await deliver(stage, "organization", "member_removed")  # GitHub leaves out who
        assert await stage.read(memberships, BOB) == {ORG: Role.MEMBER}


async def test_who_reaches_the_organization_is_asked_for_again(tmp_path: Path) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        await installed(stage)

        async def reach(person: UserId) -> object:
            def look(reader: Reader) -> object:
                try:
                    return reach_of(reader, Asking(person, at(1), TIMES, connected=at(0))).installations
                except Outdated as outdated:
                    return outdated.question

            return await stage.read(look)

        async def known() -> None:
            for person in (ANN, BOB):
                question = await reach(person)
                if asks(question):
                    command = RecordReach(
                        person=person, number=question.number,  # type: ignore[attr-defined]
                        reached=Reached(installations=[3001]), asked_at=START,
                    )  # fmt: skip
                    await stage.ask(APP_STATE, command)

        await known()
        assert await reach(ANN) == [3001]
        await deliver(stage, "organization", "member_removed", membership=MEMBERSHIP)
        assert asks(await reach(ANN))
        assert await reach(BOB) == [3001]
        await known()
        await deliver(stage, "installation", "deleted")
        assert asks(await reach(ANN))
        assert asks(await reach(BOB))


async def test_a_reach_that_was_asked_for_earlier_does_not_replace_a_later_one(tmp_path: Path) -> None:
    """Two servers asked at the same number of the counter; the slower one comes last."""
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        await installed(stage)
        for seconds, installations in ((2, [3001]), (1, [])):
            reached = Reached(installations=installations)
            await stage.ask(APP_STATE, RecordReach(person=ANN, number=99, reached=reached, asked_at=at(seconds)))
        assert (await stage.read(reach_of, Asking(ANN, at(3), TIMES, connected=at(0)))).installations == [3001]
