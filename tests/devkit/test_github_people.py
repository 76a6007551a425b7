"""People by their id: renamed people keep everything, and whoever takes their login gets nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.devkit.conftest import NAMES, Hub, Listener, git, serving, sign_in, wait_for


def fresh(hub: Hub, **wish: Any) -> dict[str, Any]:
    """A person nobody else uses."""
    return hub.control("POST", "people", {"login": f"person-{next(NAMES)}"} | wish)


def organization(hub: Hub, **wish: Any) -> dict[str, Any]:
    """An organization nobody else uses, with the App."""
    return hub.control("POST", "organizations", {"login": f"org-{next(NAMES)}", "installed": True} | wish)


def repository(hub: Hub, owner: str, **wish: Any) -> dict[str, Any]:
    return hub.control("POST", "repositories", {"owner": owner, "name": f"repo-{next(NAMES)}"} | wish)


def reached(hub: Hub, login: str, installation: int) -> dict[int, str]:
    """The role in each repository of the installation that the person reaches."""
    token = hub.person(login)
    answer = hub.api("GET", f"/user/installations/{installation}/repositories?per_page=100", token=token)
    return {repo["id"]: repo["role_name"] for repo in answer.json().get("repositories", [])}


def test_a_person_is_found_by_id(hub: Hub) -> None:
    assert hub.get("/user/1002")["login"] == "grace"
    public = hub.get("/user/1002", token="")
    assert (public["name"], public["email"]) == ("Grace Murray", None), "the profile is public"
    assert hub.get("/user/2001")["type"] == "Organization"
    assert hub.get("/user/1002", token=hub.person("margaret")) == hub.get("/users/grace")
    assert hub.api("GET", "/user/77").status_code == 404


def test_a_renamed_person_keeps_tokens_memberships_and_roles(hub: Hub) -> None:
    person = fresh(hub)
    old, new, number = person["login"], f"renamed-{next(NAMES)}", person["id"]
    org = organization(hub, members={old: "member", "ada": "admin"})
    repo = repository(hub, org["login"], access={old: "maintain"})
    tokens = sign_in(hub, old)
    hub.control("PATCH", f"people/{old}", {"login": new})
    user = hub.get("/user", token=tokens["access_token"])
    assert (user["login"], user["id"]) == (new, number)
    assert hub.get(f"/user/{number}")["login"] == new
    assert hub.api("GET", f"/users/{old}").status_code == 404
    membership = hub.get(f"/user/memberships/orgs/{org['login']}", token=tokens["access_token"])
    assert (membership["state"], membership["role"], membership["user"]["login"]) == ("active", "member", new)
    token = hub.token(org["installation"])
    path = f"/repositories/{repo['id']}/collaborators"
    permission = hub.get(f"{path}/{new}/permission", token=token)
    assert (permission["role_name"], permission["user"]["id"]) == ("maintain", number)
    assert hub.api("GET", f"{path}/{old}/permission", token=token).status_code == 404
    fields = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
    renewed = exchange(hub, **fields)
    assert hub.get("/user", token=renewed["access_token"])["id"] == number, "the refresh token follows too"


def exchange(hub: Hub, **fields: str) -> dict[str, Any]:
    app = hub.server.identity
    whole = {"client_id": app["client_id"], "client_secret": app["client_secret"], **fields}
    address = f"{hub.server.url}/login/oauth/access_token"
    return hub.http.post(address, data=whole, headers={"Accept": "application/json"}).json()


def test_whoever_takes_an_abandoned_login_gets_nothing_of_it(hub: Hub) -> None:
    person = fresh(hub)
    old, new = person["login"], f"renamed-{next(NAMES)}"
    org = organization(hub, members={old: "admin"})
    repo = repository(hub, org["login"], access={old: "admin"})
    first = hub.person(old)
    assert hub.api("GET", f"/repositories/{repo['id']}", token=first).status_code == 200
    hub.control("PATCH", f"people/{old}", {"login": new})
    taker = hub.control("POST", "people", {"login": old})
    assert taker["id"] != person["id"]
    second = sign_in(hub, old)["access_token"]
    assert hub.get("/user", token=second)["id"] == taker["id"]
    assert hub.get("/user/orgs", token=second) == []
    assert hub.get("/user/installations", token=second)["total_count"] == 0
    assert hub.api("GET", f"/repositories/{repo['id']}", token=second).status_code == 404
    assert hub.api("GET", f"/repositories/{repo['id']}", token=first).status_code == 200
    hub.control("DELETE", f"people/{old}/authorization")
    assert hub.get("/user", token=first)["login"] == new, "the other one signed out"


def test_what_a_renamed_person_wrote_and_owns_follows(hub: Hub) -> None:
    person = fresh(hub)
    old, new = person["login"], f"renamed-{next(NAMES)}"
    hub.control("PUT", f"repositories/4001/access/{old}", {"role": "write"})
    wish = {"title": "x", "head": hub.branch(), "base": "main"}
    pull = hub.api("POST", "/repos/lumen-works/tally/pulls", wish, token=hub.person(old)).json()
    assert pull["user"]["login"] == old
    own = repository(hub, old)
    installation = hub.control("POST", "installations", {"account": old})
    hub.control("PATCH", f"people/{old}", {"login": new})
    hub.control("POST", "people", {"login": old})
    path = f"/repos/lumen-works/tally/pulls/{pull['number']}"
    assert hub.get(path)["user"]["id"] == person["id"]
    token = hub.token(installation["id"])
    assert hub.get(f"/repositories/{own['id']}", token=token)["owner"]["id"] == person["id"]
    moved = hub.api("GET", f"/repos/{old}/{own['name']}", token=token)
    assert moved.status_code == 301, "the old address leads on"
    hub.control("PUT", f"repositories/4001/access/{new}", {"role": "none"})


def test_a_browser_and_a_code_follow_the_person(hub: Hub) -> None:
    person = fresh(hub)
    old, new = person["login"], f"renamed-{next(NAMES)}"
    form = {"client_id": hub.server.identity["client_id"], "redirect_uri": "http://127.0.0.1:1/back", "login": old}
    with httpx.Client(base_url=hub.server.url, trust_env=False) as browser:
        code = httpx.URL(browser.post("/login/oauth/choose", data=form).headers["location"]).params["code"]
        hub.control("PATCH", f"people/{old}", {"login": new})
        hub.control("POST", "people", {"login": old})
        page = browser.get("/login").text
    assert f'value="{new}" class="suggested"' in page, "the browser is still this person's"
    assert hub.get("/user", token=exchange(hub, code=code)["access_token"])["id"] == person["id"]


def test_a_login_in_use_is_refused_and_renaming_tells_the_persons_own_installation(hub: Hub, hooks: Listener) -> None:
    person = fresh(hub)
    for method, path, body in (("POST", "people", {"login": "ADA"}), ("PATCH", "people/grace", {"login": "ada"})):
        answer = hub.http.request(method, f"{hub.server.url}/_devkit/{path}", json=body)
        assert answer.status_code == 422
    hub.control("POST", "installations", {"account": person["login"]})
    hub.control("PATCH", f"people/{person['login']}", {"login": f"{person['login']}-b"})
    told = hooks.wait("installation_target", "renamed").body
    assert told["changes"] == {"login": {"from": person["login"]}}
    assert (told["account"]["id"], told["account"]["login"]) == (person["id"], f"{person['login']}-b")
    assert told["target_type"] == "User"


def test_the_budget_belongs_to_the_id(hub: Hub) -> None:
    person = fresh(hub)
    token = hub.person(person["login"])
    used = int(hub.api("GET", "/user", token=token).headers["X-RateLimit-Used"])
    hub.control("PATCH", f"people/{person['login']}", {"login": f"{person['login']}-b"})
    assert int(hub.api("GET", "/user", token=token).headers["X-RateLimit-Used"]) == used + 1
    hub.control("POST", "people", {"login": person["login"]})
    other = sign_in(hub, person["login"])["access_token"]
    assert hub.api("GET", "/user", token=other).headers["X-RateLimit-Used"] == "1"


def test_a_rename_survives_a_kill_and_the_samples_stay_renamed(tmp_path: Path) -> None:
    with serving(tmp_path) as hub:
        token = hub.person("grace")
        hub.control("PATCH", "people/grace", {"login": "hopper"})
        hub.control("PATCH", "people/ada", {"login": "lovelace"})
        hub.control("POST", "people", {"login": "ada"})
        assert hub.api("GET", "/app", token=hub.server.app_token()).json()["owner"]["id"] == 1001
        hub.server.kill()
    with serving(tmp_path) as back:
        assert back.get("/user", token=token)["login"] == "hopper"
        assert back.api("GET", "/users/grace", token="").status_code == 404
        assert back.get("/user/1002", token="")["login"] == "hopper"
        assert back.get("/user/1001", token="")["login"] == "lovelace"


# members


def test_members_are_listed_by_role(hub: Hub) -> None:
    org = organization(hub, members={"ada": "admin", "grace": "member", "linus": "member"})
    token = hub.token(org["installation"])

    def members(role: str) -> set[str]:
        return {m["login"] for m in hub.get(f"/orgs/{org['login']}/members?role={role}", token=token)}

    assert members("admin") == {"ada"}
    assert members("member") == {"grace", "linus"}
    assert members("all") == {"ada", "grace", "linus"}
    assert hub.api("GET", f"/orgs/{org['login']}/members?role=owner", token=token).status_code == 422


def test_a_membership_is_for_members(hub: Hub) -> None:
    org = organization(hub, members={"ada": "admin", "grace": "member"})
    path = f"/user/memberships/orgs/{org['login']}"
    whole = hub.get(path, token=hub.person("ada"))
    assert (whole["role"], whole["direct_membership"]) == ("admin", True)
    loud = f"/user/memberships/orgs/{org['login'].upper()}"
    assert hub.get(loud, token=hub.person("grace"))["organization"]["id"] == org["id"]
    assert hub.api("GET", path, token=hub.person("linus")).status_code == 404


def test_joining_and_leaving_are_told_and_a_new_role_is_not(hub: Hub, hooks: Listener) -> None:
    org = organization(hub, members={"ada": "admin"})
    path = f"organizations/{org['login']}/members/linus"
    for role in ("member", "admin", "none"):
        hub.control("PUT", path, {"role": role})
    left = hooks.wait("organization", "member_removed").body
    joined = hooks.wait("organization", "member_added").body
    assert [event for event in hooks.events() if event.startswith("organization")] == [
        "organization.member_added", "organization.member_removed",
    ]  # fmt: skip
    assert (joined["membership"]["user"]["id"], joined["membership"]["role"]) == (1003, "member")
    assert set(joined["membership"]) >= {"url", "state", "role", "organization_url", "user"}
    assert (left["organization"]["id"], left["installation"]["id"]) == (org["id"], org["installation"])


def test_who_leaves_loses_their_access(hub: Hub) -> None:
    org = organization(hub, members={"ada": "admin", "linus": "member"})
    repo = repository(hub, org["login"], access={"linus": "write"})
    team = hub.control("POST", f"organizations/{org['login']}/teams", {"name": "T", "members": ["linus"]})
    assert reached(hub, "linus", org["installation"]) == {repo["id"]: "write"}
    hub.control("PUT", f"organizations/{org['login']}/members/linus", {"role": "none"})
    assert reached(hub, "linus", org["installation"]) == {}
    path = f"/orgs/{org['login']}/teams/{team['slug']}/members"
    assert hub.get(path, token=hub.token(org["installation"])) == []


# the installations and repositories that a person reaches


def test_a_person_reaches_what_they_own_collaborate_in_or_have_by_their_organization(hub: Hub) -> None:
    org = organization(hub, members={"ada": "admin", "grace": "member"}, base="read")
    login, installation = org["login"], org["installation"]
    private, public = repository(hub, login, access={"grace": "write"}), repository(hub, login, private=False)
    team = {"name": "Ops", "members": ["grace"], "repositories": {public["id"]: "maintain"}}
    hub.control("POST", f"organizations/{login}/teams", team)
    hub.control("PUT", f"repositories/{public['id']}/access/linus", {"role": "triage"})
    assert reached(hub, "ada", installation) == {private["id"]: "admin", public["id"]: "admin"}
    assert reached(hub, "grace", installation) == {private["id"]: "write", public["id"]: "maintain"}
    assert reached(hub, "linus", installation) == {public["id"]: "triage"}
    stranger = hub.api("GET", f"/user/installations/{installation}/repositories", token=hub.person("margaret"))
    assert stranger.status_code == 404, "a public repository is not explicit permission"
    listed = hub.get("/user/installations?per_page=100", token=hub.person("linus"))
    assert installation in [i["id"] for i in listed["installations"]]
    assert listed["total_count"] == len(listed["installations"])
    other = hub.get("/user/installations?per_page=100", token=hub.person("margaret"))
    assert installation not in [i["id"] for i in other["installations"]]


def test_what_a_person_reaches_is_cut_to_the_apps_repositories(hub: Hub) -> None:
    org = organization(hub, members={"grace": "member"}, base="read")
    one, two = repository(hub, org["login"]), repository(hub, org["login"])
    hub.control("PUT", f"repositories/{two['id']}/access/linus", {"role": "write"})
    hub.control("PATCH", f"installations/{org['installation']}", {"repositories": [one["id"]]})
    page = hub.get(f"/user/installations/{org['installation']}/repositories", token=hub.person("grace"))
    assert (page["total_count"], page["repository_selection"]) == (1, "selected")
    assert [repo["id"] for repo in page["repositories"]] == [one["id"]]
    path = f"/user/installations/{org['installation']}/repositories"
    assert hub.api("GET", path, token=hub.person("linus")).status_code == 404, "none of theirs has the App"


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("none", None),
        ("read", {"pull"}),
        ("write", {"pull", "triage", "push"}),
        ("admin", {"pull", "triage", "push", "maintain", "admin"}),
    ],
)
def test_the_base_permission_is_every_members_and_is_not_told(
    hub: Hub, hooks: Listener, base: str, expected: set[str] | None
) -> None:
    org = organization(hub, members={"ada": "admin", "grace": "member"}, base="write" if base == "none" else "none")
    repo = repository(hub, org["login"])
    hooks.wait("repository", "created")
    hub.control("PATCH", f"organizations/{org['login']}", {"base": base})
    page = hub.get(f"/user/installations/{org['installation']}/repositories", token=hub.person("grace"))
    has = [{name for name, yes in repo["permissions"].items() if yes} for repo in page["repositories"]]
    assert has == ([] if expected is None else [expected])
    whole = hub.get(f"/orgs/{org['login']}", token=hub.person("ada"))
    assert whole["default_repository_permission"] == base
    assert "default_repository_permission" not in hub.get(f"/orgs/{org['login']}", token=hub.person("grace"))
    hub.control("DELETE", f"repositories/{repo['id']}")
    hooks.wait("repository", "deleted")
    assert set(hooks.events()) == {"installation.created", "repository.created", "repository.deleted"}


def test_a_repository_says_what_the_person_may_do(hub: Hub) -> None:
    org = organization(hub, members={"grace": "member"}, base="write")
    repo = repository(hub, org["login"], private=False)
    for path in (f"/repositories/{repo['id']}", f"/repos/{org['login']}/{repo['name']}"):
        member, stranger = (hub.get(path, token=hub.person(login))["permissions"] for login in ("grace", "margaret"))
        assert (member["push"], member["maintain"]) == (True, False)
        assert {name for name, yes in stranger.items() if yes} == {"pull"}
        assert "permissions" not in hub.get(path, token="")


# many repositories


def test_five_thousand_repositories_are_listed_fast(hub: Hub) -> None:
    org = organization(hub, members={"grace": "member"}, base="read")
    made = hub.control("PUT", f"organizations/{org['login']}/many", {"count": 5_000})["ids"]
    path = f"/user/installations/{org['installation']}/repositories?per_page=100"
    token = hub.person("grace")
    times = []
    for page in (1, 2, 25, 50, 51):
        answer = hub.api("GET", f"{path}&page={page}", token=token)
        times.append(answer.elapsed.total_seconds())
        assert answer.json()["total_count"] == len(made) == 5_000
        assert len(answer.json()["repositories"]) == (100 if page <= 50 else 0)
    assert sorted(times)[2] < 0.1, f"{times} seconds"
    installed = hub.api("GET", "/installation/repositories?per_page=100", token=hub.token(org["installation"]))
    assert installed.json()["total_count"] == 5_000
    assert not (hub.server.directory / "repositories" / f"{made[7]}.git").exists(), "nobody has cloned it"
    name = hub.get(f"/repositories/{made[7]}", token=token)["full_name"]
    where = hub.server.directory / "clones" / f"many-{next(NAMES)}"
    git("clone", "-q", hub.url(hub.token(org["installation"]), name), str(where), cwd=hub.server.directory)
    assert (where / "README.md").exists()
    assert [b["name"] for b in hub.get(f"/repositories/{made[8]}/branches", token=token)] == ["main"]


def test_many_repositories_do_not_slow_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path) as hub:
        hub.control("PUT", "organizations/lumen-works/many", {"count": 300, "access": {"linus": "read"}})
        assert hub.get("/installation/repositories")["total_count"] == 301
    with serving(tmp_path) as back:
        assert back.get("/installation/repositories")["total_count"] == 301
        assert wait_for(lambda: len(list((tmp_path / "repositories").iterdir()))) == 2, "the samples alone"
