"""What happens to repositories as a whole: archived, transferred, published; and who may do what in them."""

from __future__ import annotations

from tests.devkit.conftest import NAMES, Hub, Listener, git
from tests.devkit.test_github_people import organization, repository


def test_an_archived_repository_is_read_only_and_told(hub: Hub, hooks: Listener) -> None:
    org = organization(hub, members={"ada": "admin"})
    repo, token = repository(hub, org["login"]), hub.token(org["installation"])
    path = f"/repositories/{repo['id']}"
    assert hub.get(path, token=token)["archived"] is False
    where = hub.server.directory / f"archived-{next(NAMES)}"
    git("clone", "-q", hub.url(token, f"{org['login']}/{repo['name']}"), str(where), cwd=hub.server.directory)
    hub.control("PATCH", f"repositories/{repo['id']}", {"archived": True})
    assert hooks.wait("repository", "archived").body["repository"]["archived"] is True
    assert hub.get(path, token=token)["archived"] is True
    sha = hub.get(f"{path}/git/ref/heads/main", token=token)["object"]["sha"]
    wish = {"ref": "refs/heads/x", "sha": sha}
    refused = hub.api("POST", f"{path}/git/refs", wish, token=token)
    assert (refused.status_code, refused.json()["message"]) == (403, "Repository was archived so is read-only.")
    comment = hub.api("POST", f"{path}/issues/1/comments", {"body": "Hm"}, token=token)
    assert comment.json()["message"] == "Repository was archived so is read-only."
    assert "read-only" in git("push", "origin", "main:other", cwd=where, fails=True)
    git("fetch", "-q", "origin", cwd=where)
    hub.control("PATCH", f"repositories/{repo['id']}", {"archived": False})
    assert hooks.wait("repository", "unarchived").body["repository"]["archived"] is False
    assert hub.api("POST", f"{path}/git/refs", wish, token=token).status_code == 201


def test_a_transfer_is_told_to_the_new_owner_and_taken_from_the_old(hub: Hub, hooks: Listener) -> None:
    old, new = organization(hub, members={"ada": "admin"}), organization(hub, members={"grace": "admin"})
    repo = repository(hub, old["login"])
    hub.control("PATCH", f"repositories/{repo['id']}", {"owner": new["login"]})
    moved = hooks.wait("repository", "transferred").body
    assert moved["installation"]["id"] == new["installation"]
    assert moved["repository"]["owner"]["id"] == new["id"]
    assert moved["changes"]["owner"]["from"]["organization"]["id"] == old["id"]
    removed = hooks.wait("installation_repositories", "removed").body
    assert removed["installation"]["id"] == old["installation"]
    assert [r["id"] for r in removed["repositories_removed"]] == [repo["id"]]
    added = hooks.wait("installation_repositories", "added").body
    assert added["installation"]["id"] == new["installation"]
    assert [r["id"] for r in added["repositories_added"]] == [repo["id"]]
    assert hub.api("GET", f"/repositories/{repo['id']}", token=hub.token(old["installation"])).status_code == 404
    assert hub.api("GET", f"/repositories/{repo['id']}", token=hub.token(new["installation"])).status_code == 200


def test_a_transfer_to_an_account_without_the_app_is_heard_by_the_old_one_alone(hub: Hub, hooks: Listener) -> None:
    old = organization(hub, members={"ada": "admin"})
    new = organization(hub, members={"grace": "admin"}, installed=False)
    repo, kept = repository(hub, old["login"]), repository(hub, old["login"])
    hub.control("PATCH", f"installations/{old['installation']}", {"repositories": [repo["id"], kept["id"]]})
    hub.control("PATCH", f"repositories/{repo['id']}", {"owner": new["login"]})
    removed = hooks.wait("installation_repositories", "removed").body
    assert (removed["repository_selection"], removed["repositories_added"]) == ("selected", [])
    hub.control("PATCH", f"repositories/{repo['id']}", {"owner": old["login"]})
    inside = hub.get("/installation/repositories", token=hub.token(old["installation"]))["repositories"]
    assert [r["id"] for r in inside] == [kept["id"]], "back again, it has to be chosen again"
    hub.control("DELETE", f"repositories/{kept['id']}")
    hooks.wait("repository", "deleted")
    assert "repository.transferred" not in hooks.events()


def test_published_renamed_and_deleted_repositories_are_told(hub: Hub, hooks: Listener) -> None:
    org = organization(hub, members={"ada": "admin"})
    repo = repository(hub, org["login"])
    for change in ({"private": False}, {"private": True}, {"name": f"{repo['name']}-b"}):
        hub.control("PATCH", f"repositories/{repo['id']}", change)
    hub.control("DELETE", f"repositories/{repo['id']}")
    assert hooks.wait("repository", "deleted").body["repository"]["id"] == repo["id"]
    assert hooks.wait("repository", "publicized").body["repository"]["visibility"] == "public"
    assert hooks.wait("repository", "privatized").body["repository"]["private"] is True
    assert hooks.wait("repository", "renamed").body["changes"] == {"repository": {"name": {"from": repo["name"]}}}
    assert [e for e in hooks.events() if e.startswith("repository.")] == [
        f"repository.{action}" for action in ("created", "publicized", "privatized", "renamed", "deleted")
    ]


def test_a_persons_permission_has_their_id_and_an_unknown_login_is_not_found(hub: Hub) -> None:
    whole = hub.get("/repos/lumen-works/tally/collaborators/grace/permission")
    assert (whole["user"]["id"], whole["permission"], whole["role_name"]) == (1002, "write", "write")
    assert hub.api("GET", "/repos/lumen-works/tally/collaborators/nobody/permission").status_code == 404
    assert hub.api("GET", "/repos/lumen-works/tally/collaborators/lumen-works/permission").status_code == 404
