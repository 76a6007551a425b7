"""Teams: they give roles, and each change of one is told."""

from __future__ import annotations

from typing import Any

from foundry.devkit.github.manifest import problems
from tests.devkit.conftest import Hub, Listener
from tests.devkit.test_github_people import organization, reached, repository

TEAM = {
    "name", "id", "node_id", "slug", "description", "privacy", "url", "html_url", "members_url", "repositories_url",
    "permission", "parent",
}  # fmt: skip


def team(hub: Hub, org: str, **wish: Any) -> str:
    return hub.control("POST", f"organizations/{org}/teams", {"name": "Ops"} | wish)["slug"]


def test_a_team_gives_its_members_its_role(hub: Hub) -> None:
    org = organization(hub, members={"ada": "admin", "linus": "member"}, base="none")
    login, repo = org["login"], repository(hub, org["login"])
    path = f"organizations/{login}/teams/{team(hub, login)}"
    token, permission = hub.token(org["installation"]), f"/repositories/{repo['id']}/collaborators/linus/permission"
    hub.control("PUT", f"{path}/repositories/{repo['id']}", {"role": "write"})
    assert hub.get(permission, token=token)["permission"] == "none"
    hub.control("PUT", f"{path}/members/linus", {"member": True})
    assert hub.get(permission, token=token)["role_name"] == "write"
    assert reached(hub, "linus", org["installation"]) == {repo["id"]: "write"}
    assert "linus" in {c["login"] for c in hub.get(f"/repositories/{repo['id']}/collaborators", token=token)}
    hub.control("PUT", f"{path}/repositories/{repo['id']}", {"role": "read"})
    assert reached(hub, "linus", org["installation"]) == {repo["id"]: "read"}
    hub.control("PUT", f"repositories/{repo['id']}/access/linus", {"role": "maintain"})
    assert reached(hub, "linus", org["installation"]) == {repo["id"]: "maintain"}, "the highest role counts"
    hub.control("PUT", f"repositories/{repo['id']}/access/linus", {"role": "none"})
    hub.control("DELETE", path)
    assert reached(hub, "linus", org["installation"]) == {}


def test_only_members_of_the_organization_are_in_its_teams(hub: Hub) -> None:
    org = organization(hub, members={"ada": "admin"})
    slug = team(hub, org["login"])
    url = f"{hub.server.url}/_devkit/organizations/{org['login']}/teams/{slug}"
    assert hub.http.put(f"{url}/members/linus", json={"member": True}).status_code == 404
    assert hub.http.put(f"{url}/repositories/4001", json={"role": "read"}).status_code == 404
    again = hub.http.post(f"{hub.server.url}/_devkit/organizations/{org['login']}/teams", json={"name": "OPS"})
    assert again.status_code == 422


def test_the_app_subscribes_to_what_changes_a_persons_access(hub: Hub) -> None:
    events = hub.api("GET", "/app", token=hub.server.app_token()).json()["events"]
    assert {"member", "membership", "organization", "repository", "team", "team_add"} <= set(events)
    for event in ("member", "membership", "organization", "team", "team_add"):
        manifest = {"url": "http://x", "default_events": [event], "default_permissions": {"members": "read"}}
        assert problems(manifest) == []
        assert problems(manifest | {"default_permissions": {}}) != []


def test_teams_are_told_from_their_creation_to_their_deletion(hub: Hub, hooks: Listener) -> None:
    org = organization(hub, members={"ada": "admin", "linus": "member"})
    repo = repository(hub, org["login"])
    slug = team(hub, org["login"], description="Runs it")
    path = f"organizations/{org['login']}/teams/{slug}"
    created = hooks.wait("team", "created").body
    assert set(created["team"]) >= TEAM
    assert (created["team"]["slug"], created["organization"]["id"]) == ("ops", org["id"])
    assert created["installation"]["id"] == org["installation"]
    hub.control("PUT", f"{path}/repositories/{repo['id']}", {"role": "write"})
    added = hooks.wait("team", "added_to_repository").body
    assert (added["repository"]["id"], added["repository"]["role_name"]) == (repo["id"], "write")
    assert added["repository"]["permissions"]["push"] is True
    told = hooks.wait("team_add").body
    assert "action" not in told
    assert (told["team"]["slug"], told["repository"]["id"]) == ("ops", repo["id"])
    hub.control("PUT", f"{path}/repositories/{repo['id']}", {"role": "admin"})
    edited = hooks.wait("team", "edited").body
    assert edited["changes"] == {"repository": {"permissions": {"from": {"admin": False, "pull": True, "push": True}}}}
    for member in (True, True, False):
        hub.control("PUT", f"{path}/members/linus", {"member": member})
    for action in ("added", "removed"):
        member = hooks.wait("membership", action).body
        assert (member["scope"], member["member"]["id"], member["team"]["slug"]) == ("team", 1003, "ops")
        assert member["organization"]["id"] == org["id"]
    hub.control("PUT", f"{path}/repositories/{repo['id']}", {"role": "none"})
    assert hooks.wait("team", "removed_from_repository").body["repository"]["id"] == repo["id"]
    hub.control("PATCH", path, {"name": "Dev Ops", "description": "Both"})
    renamed = hooks.wait("team", "edited", number=2).body
    assert renamed["changes"] == {"name": {"from": "Ops"}, "description": {"from": "Runs it"}}
    assert renamed["team"]["slug"] == "dev-ops"
    hub.control("DELETE", f"organizations/{org['login']}/teams/dev-ops")
    hooks.wait("team", "deleted")
    assert hooks.events().count("membership.added") == 1, "nothing changed the second time"


def test_teams_are_listed_for_members_and_apps_with_the_permission(hub: Hub) -> None:
    org = organization(hub, members={"ada": "admin", "grace": "member"}, base="read")
    one, two = repository(hub, org["login"]), repository(hub, org["login"])
    roles = {one["id"]: "write", two["id"]: "read"}
    slug = team(hub, org["login"], members=["grace"], repositories=roles)
    path, token, grace = f"/orgs/{org['login']}/teams", hub.token(org["installation"]), hub.person("grace")
    for caller in (token, grace):
        assert [t["slug"] for t in hub.get(path, token=caller)] == [slug]
        assert hub.get(f"{path}/{slug}", token=caller)["members_count"] == 1
        (member,) = hub.get(f"{path}/{slug}/members", token=caller)
        assert (member["id"], member["role"]) == (1002, "member")
        listed = hub.get(f"{path}/{slug}/repos", token=caller)
        assert {r["id"]: r["role_name"] for r in listed} == roles
        assert listed[0]["permissions"]["push"] is True
    assert [t["slug"] for t in hub.get("/user/teams", token=grace) if t["organization"]["id"] == org["id"]] == [slug]
    hub.control("DELETE", f"repositories/{two['id']}")
    assert hub.get(f"{path}/{slug}", token=token)["repos_count"] == 1
    stranger = hub.person("margaret")
    assert hub.api("GET", path, token=stranger).status_code == 403
    assert hub.api("GET", f"{path}/{slug}", token=stranger).status_code == 404
    assert hub.api("GET", f"{path}/nowhere", token=token).status_code == 404
    narrow = hub.server.token(org["installation"], permissions={"contents": "read"})
    refused = hub.api("GET", path, token=narrow)
    assert (refused.status_code, refused.headers["X-Accepted-GitHub-Permissions"]) == (403, "members=read")


def test_a_repository_that_is_transferred_leaves_its_teams(hub: Hub) -> None:
    old = organization(hub, members={"ada": "admin", "linus": "member"}, base="none")
    new = organization(hub, members={"margaret": "admin"}, base="none")
    repo = repository(hub, old["login"])
    team(hub, old["login"], members=["linus"], repositories={repo["id"]: "write"})
    hub.control("PATCH", f"repositories/{repo['id']}", {"owner": new["login"]})
    assert hub.api("GET", f"/repositories/{repo['id']}", token=hub.person("linus")).status_code == 404
