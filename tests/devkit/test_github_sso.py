"""SAML single sign-on: what a person's token reaches of an organization that requires it."""

from __future__ import annotations

import re
from typing import Any

import httpx2 as httpx

from tests.devkit.conftest import NAMES, Hub, git, sign_in
from tests.devkit.test_github_people import fresh, organization, repository

MESSAGE = (
    "Resource protected by organization SAML enforcement. You must grant your OAuth token access to this organization."
)


def protected(hub: Hub) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], str]:
    """An organization that requires single sign-on, one of its repositories, a member, and their older token."""
    person = fresh(hub)
    org = organization(hub, members={person["login"]: "admin", "ada": "admin"}, base="read")
    repo = repository(hub, org["login"])
    token = sign_in(hub, person["login"])["access_token"]
    assert hub.api("GET", f"/repositories/{repo['id']}", token=token).status_code == 200
    hub.control("PATCH", f"organizations/{org['login']}", {"sso": True})
    return org, repo, person, token


def required(hub: Hub, answer: httpx.Response, org: str) -> str:
    """Check GitHub's refusal; return the address that grants access."""
    assert (answer.status_code, answer.json()["message"]) == (403, MESSAGE)
    at = re.escape(f"{hub.server.url}/orgs/{org}/sso?authorization_request=")
    found = re.fullmatch(rf"required; url=({at}\S+)", answer.headers["X-GitHub-SSO"])
    assert found, answer.headers["X-GitHub-SSO"]
    return found[1]


def test_the_organizations_resources_are_refused_without_a_session(hub: Hub) -> None:
    org, repo, _, token = protected(hub)
    for path in (
        f"/repositories/{repo['id']}",
        f"/repos/{org['login']}/{repo['name']}/branches",
        f"/orgs/{org['login']}",
        f"/orgs/{org['login']}/members",
        f"/orgs/{org['login']}/repos",
        f"/orgs/{org['login']}/teams",
        f"/users/{org['login']}/repos",
        f"/user/memberships/orgs/{org['login']}",
        f"/user/installations/{org['installation']}/repositories",
    ):
        required(hub, hub.api("GET", path, token=token), org["login"])


def test_lists_across_organizations_leave_it_out_and_say_so(hub: Hub) -> None:
    org, repo, person, token = protected(hub)
    other = organization(hub, members={person["login"]: "member"}, base="read")
    kept = repository(hub, other["login"])
    for path, seen in (
        ("/user/orgs", lambda body: [o["id"] for o in body] == [other["id"]]),
        ("/user/memberships/orgs", lambda body: [m["organization"]["id"] for m in body] == [other["id"]]),
        ("/user/installations", lambda body: [i["id"] for i in body["installations"]] == [other["installation"]]),
        ("/user/repos", lambda body: [r["id"] for r in body] == [kept["id"]]),
        ("/user/teams", lambda body: body == []),
    ):
        answer = hub.api("GET", path, token=token)
        assert answer.status_code == 200
        assert seen(answer.json()), path
        assert answer.headers["X-GitHub-SSO"] == f"partial-results; organizations={org['id']}"
    etag = hub.api("GET", "/user/orgs", token=token).headers["ETag"]
    unchanged = hub.api("GET", "/user/orgs", token=token, If_None_Match=etag)
    assert (unchanged.status_code, "X-GitHub-SSO" in unchanged.headers) == (304, True)
    assert repo["id"] not in [r["id"] for r in hub.get("/user/repos", token=token)]


def test_a_session_gives_access_and_its_end_takes_it(hub: Hub) -> None:
    org, repo, person, token = protected(hub)
    path = f"organizations/{org['login']}/sessions/{person['login']}"
    hub.control("PUT", path, {"active": True})
    assert hub.api("GET", f"/repositories/{repo['id']}", token=token).status_code == 200
    assert "X-GitHub-SSO" not in hub.api("GET", "/user/orgs", token=token).headers
    hub.control("PUT", path, {"active": False})
    required(hub, hub.api("GET", f"/repositories/{repo['id']}", token=token), org["login"])


def test_the_address_in_the_header_gives_access_once(hub: Hub) -> None:
    org, repo, _, token = protected(hub)
    address = required(hub, hub.api("GET", f"/repositories/{repo['id']}", token=token), org["login"])
    assert hub.http.get(address).status_code == 200
    assert hub.api("GET", f"/repositories/{repo['id']}", token=token).status_code == 200
    assert hub.http.get(address).status_code == 404


def test_a_token_reaches_what_its_person_had_a_session_for_when_it_was_issued(hub: Hub) -> None:
    org, repo, person, before = protected(hub)
    path = f"organizations/{org['login']}/sessions/{person['login']}"
    hub.control("PUT", path, {"active": True, "tokens": False})
    required(hub, hub.api("GET", f"/repositories/{repo['id']}", token=before), org["login"])
    after = sign_in(hub, person["login"])
    assert hub.api("GET", f"/repositories/{repo['id']}", token=after["access_token"]).status_code == 200
    app = hub.server.identity
    fields = {"grant_type": "refresh_token", "refresh_token": after["refresh_token"]}
    fields |= {"client_id": app["client_id"], "client_secret": app["client_secret"]}
    url = f"{hub.server.url}/login/oauth/access_token"
    renewed = hub.http.post(url, data=fields, headers={"Accept": "application/json"}).json()["access_token"]
    assert hub.api("GET", f"/repositories/{repo['id']}", token=renewed).status_code == 200


def test_apps_strangers_and_outside_collaborators_need_no_session(hub: Hub) -> None:
    org, repo, _, token = protected(hub)
    assert hub.api("GET", f"/repositories/{repo['id']}", token=hub.token(org["installation"])).status_code == 200
    assert hub.get("/installation/repositories", token=hub.token(org["installation"]))["total_count"] == 1
    hub.control("PUT", f"repositories/{repo['id']}/access/linus", {"role": "read"})
    assert hub.api("GET", f"/repositories/{repo['id']}", token=hub.person("linus")).status_code == 200
    stranger = hub.api("GET", f"/repositories/{repo['id']}", token=hub.person("margaret"))
    assert stranger.status_code == 404
    public = repository(hub, org["login"], private=False)
    assert hub.api("GET", f"/repositories/{public['id']}", token=hub.person("margaret")).status_code == 200
    required(hub, hub.api("GET", f"/repositories/{public['id']}", token=token), org["login"])


def test_git_is_refused_too(hub: Hub) -> None:
    org, repo, person, token = protected(hub)
    where = hub.server.directory / f"sso-{next(NAMES)}"
    name = f"{org['login']}/{repo['name']}"
    said = git("clone", "-q", hub.url(token, name), str(where), cwd=hub.server.directory, fails=True)
    assert "has enabled or enforced SAML SSO" in said
    assert "403" in said
    hub.control("PUT", f"organizations/{org['login']}/sessions/{person['login']}", {"active": True})
    git("clone", "-q", hub.url(token, name), str(where), cwd=hub.server.directory)
