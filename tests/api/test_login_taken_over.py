"""Who takes over an abandoned login gets nothing of whoever had it before: sign-in, reading, changing, the CLI."""

from __future__ import annotations

from pathlib import Path

from foundry.contracts.people import Person
from tests.actors.tree import ORG, REPO
from tests.api.github_edge import GitHubEdge, github_edge
from tests.waiting import eventually

PATHS = (f"/api/organizations/{ORG}", f"/api/organizations/{ORG}/repositories", f"/api/repositories/{REPO}")


async def taken_over(edge: GitHubEdge) -> Person:
    """Ada is called ada-byron now; somebody new is called ada."""
    await edge.stage.control("PATCH", "people/ada", {"login": "ada-byron"})
    return await edge.person("ada")


async def test_the_new_owner_of_a_login_signs_in_and_sees_nothing(tmp_path: Path) -> None:
    async with github_edge(tmp_path) as edge:
        ada = await edge.sign_in("ada")
        for path in PATHS:
            assert (await ada.get(path)).status_code == 200
        before = (await ada.get("/api/app")).json()["person"]
        other = await taken_over(edge)
        stranger = await edge.sign_in("ada")
        mine = (await stranger.get("/api/app")).json()
        assert (mine["person"]["id"], mine["person"]["login"], mine["organizations"]) == (other.id, "ada", [])
        for path in PATHS:
            assert (await stranger.get(path)).status_code == 404
        tasks = f"/api/organizations/{ORG}/tasks"
        assert (await stranger.post(tasks, json={"repository": REPO, "prompt": "x"})).status_code == 404
        for path in PATHS:  # and Ada keeps hers, in the browser where she was signed in and in a new one
            assert (await ada.get(path)).status_code == 200
        again = await edge.sign_in("ada-byron")
        person = (await again.get("/api/app")).json()["person"]
        assert (person["id"], person["login"]) == (before["id"], "ada-byron")
        assert (await again.get(PATHS[2])).status_code == 200


async def test_the_rights_of_the_former_owner_do_not_come_back_with_webhooks_and_syncs(tmp_path: Path) -> None:
    async with github_edge(tmp_path) as edge:
        ada = await edge.sign_in("ada")
        assert (await ada.get(PATHS[2])).status_code == 200
        await taken_over(edge)
        stranger = await edge.sign_in("ada")
        assert (await stranger.get(PATHS[2])).status_code == 404
        await edge.stage.control("PUT", f"repositories/{REPO}/access/ada-byron", {"role": "write"})  # a member webhook
        await edge.stage.synced()
        assert (await stranger.get(PATHS[2])).status_code == 404
        assert (await ada.get(PATHS[2])).status_code == 200
        await edge.stage.control("PUT", f"repositories/{REPO}/access/ada", {"role": "read"})

        async def seen() -> int:
            return (await stranger.get(PATHS[2])).status_code

        await eventually(seen, lambda status: status == 200)  # what GitHub gives them themselves they get


async def test_the_app_asks_about_a_person_without_a_token_by_their_number(tmp_path: Path) -> None:
    """Both have signed in, and neither has a usable token any more: GitHub rejects them."""
    async with github_edge(tmp_path) as edge:
        ada = await edge.sign_in("ada")
        await taken_over(edge)
        stranger = await edge.sign_in("ada")
        for login in ("ada", "ada-byron"):
            await edge.stage.control("POST", f"people/{login}/expired", {"access": True, "refresh": True})
        assert (await ada.get(PATHS[2])).status_code == 200
        assert (await stranger.get(PATHS[2])).status_code == 404
