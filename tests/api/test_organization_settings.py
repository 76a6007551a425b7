"""An organization's settings: its members see them, its owners change them, and others do not know of them."""

from __future__ import annotations

from foundry.contracts.github_access import Role
from tests.api.edge import ADA, GRACE, ORG, TALLY, Edge
from tests.api.problems import problem

SETTINGS, GITHUB = f"/api/organizations/{ORG}/settings", f"/api/organizations/{ORG}/github"


async def test_a_member_sees_settings_and_an_owner_changes_them(edge: Edge):
    async with edge.admin("ada") as ada:
        assert (await ada.get(SETTINGS)).json() == {"role": "member", "may_change": False, "public_work": False}
        problem(await ada.put(SETTINGS, json={"public_work": True}), 403, "forbidden", "organization")
        edge.github.roles[ADA.id] = Role.OWNER
        edge.later = edge.foundry.access_times.read
        assert (await ada.get(SETTINGS)).json()["may_change"]
        changed = await ada.put(SETTINGS, json={"public_work": True})
        assert changed.json() == {"role": "owner", "may_change": True, "public_work": True}
        assert (await ada.get(f"/api/organizations/{ORG}")).json()["public_work"]


async def test_a_collaborator_and_a_stranger_see_no_settings(edge: Edge):
    async with edge.admin("grace") as grace, edge.admin("bob") as bob:
        assert (await grace.get(f"/api/repositories/{TALLY.id}")).status_code == 200
        for path in (SETTINGS, GITHUB):
            problem(await grace.get(path), 403, "forbidden", "organization")
            problem(await bob.get(path), 404, "not_found", "organization")
    assert GRACE.id not in edge.github.roles


async def test_the_budget_and_its_floor_are_visible(edge: Edge):
    async with edge.admin("ada") as ada:
        found = (await ada.get(GITHUB)).json()
    assert found["state"]["installation"] == 1
    assert (found["budget"]["limit"], found["budget"]["remaining"], found["budget"]["floor"]) == (5000, 4321, 1000)
