"""Who may do what: the App's own token, installations' tokens, people's tokens."""

from __future__ import annotations

import base64
import hashlib
import stat
import time

import httpx2 as httpx
import jwt
import pytest

from tests.devkit.conftest import TALLY, Hub, sign_in

BACK = "http://127.0.0.1:1/back"


def as_app(hub: Hub, method: str, path: str, body: object = None) -> httpx.Response:
    return hub.api(method, path, body, token=hub.server.app_token())


def test_the_identity_is_there_for_its_owner_alone(hub: Hub) -> None:
    path = hub.server.directory / "app.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(hub.server.identity) == {
        "app_id", "client_id", "client_secret", "webhook_secret", "private_key", "api_url", "web_url"
    }  # fmt: skip


def test_the_app_sees_itself_and_its_installations(hub: Hub) -> None:
    assert as_app(hub, "GET", "/app").json()["client_id"] == hub.server.identity["client_id"]
    listed = as_app(hub, "GET", "/app/installations").json()
    assert [(i["id"], i["account"]["login"]) for i in listed] == [(3001, "lumen-works"), (3002, "north-harbor")]
    assert as_app(hub, "GET", f"{TALLY}/installation").json()["id"] == 3001
    assert as_app(hub, "GET", "/app/installations/9").status_code == 404


@pytest.mark.parametrize(
    ("claims", "status", "words"),
    [
        ({"exp": 700}, 401, "too far in the future"),
        ({"exp": -10}, 401, "'exp'"),
        ({"iat": 300}, 401, "'iat'"),
        ({"iss": "77"}, 404, "Integration not found"),
        ({"exp": None}, 401, "Missing 'expiration time'"),
    ],
)
def test_a_bad_app_token_is_refused(hub: Hub, claims: dict[str, object], status: int, words: str) -> None:
    now = int(time.time())
    whole = {"iat": -30, "exp": 300, "iss": hub.server.identity["app_id"]} | claims
    made = {k: now + v if isinstance(v, int) else v for k, v in whole.items() if v is not None}
    token = jwt.encode(made, hub.server.identity["private_key"], algorithm="RS256")
    answer = hub.api("GET", "/app", token=token)
    assert (answer.status_code, words in answer.json()["message"]) == (status, True)


def test_an_app_token_needs_the_apps_key_and_may_name_its_client_id(hub: Hub) -> None:
    token = hub.server.app_token()
    assert (
        hub.api("GET", "/app", token=token[:-8] + "AAAAAAAA").json()["message"]
        == "A JSON web token could not be decoded"
    )
    now = int(time.time())
    claims = {"iat": now, "exp": now + 60, "iss": hub.server.identity["client_id"]}
    mine = jwt.encode(claims, hub.server.identity["private_key"], algorithm="RS256")
    assert hub.api("GET", "/app", token=mine).status_code == 200
    forged = jwt.encode(claims, "secret-that-is-long-enough-for-hs256", algorithm="HS256")
    assert hub.api("GET", "/app", token=forged).status_code == 401
    assert hub.api("GET", "/app", token=hub.token()).status_code == 401


def test_errors_have_githubs_form(hub: Hub) -> None:
    answer = hub.api("GET", "/user", token="ghu_nobody")
    assert answer.status_code == 401
    assert answer.json()["message"] == "Bad credentials"
    assert answer.json()["documentation_url"].startswith("https://docs.github.com")
    assert hub.api("GET", "/user", token="").json()["message"] == "Requires authentication"
    assert hub.api("GET", "/user").json()["message"] == "Resource not accessible by integration"
    assert hub.api("GET", "/nowhere").status_code == 404
    assert (
        hub.http.post(
            f"{hub.server.api}{TALLY}/pulls", content=b"{", headers={"Authorization": f"Bearer {hub.token()}"}
        ).status_code
        == 400
    )


def test_what_may_not_be_seen_is_not_found(hub: Hub) -> None:
    elsewhere = hub.token(3002)
    assert hub.api("GET", TALLY, token=elsewhere).status_code == 404
    assert hub.api("GET", TALLY, token="").status_code == 404
    assert hub.api("GET", TALLY, token=hub.person("margaret")).status_code == 404
    assert hub.api("GET", "/repos/north-harbor/tideboard", token="").status_code == 200, "it is public"


def test_a_token_is_narrowed_to_repositories_and_permissions(hub: Hub) -> None:
    url = "/app/installations/3001/access_tokens"
    made = as_app(hub, "POST", url, {"repositories": ["tally"], "permissions": {"contents": "read"}})
    assert made.status_code == 201
    body = made.json()
    assert body["permissions"] == {"metadata": "read", "contents": "read"}
    assert (body["repository_selection"], [r["id"] for r in body["repositories"]]) == ("selected", [4001])
    refused = hub.api("POST", f"{TALLY}/git/refs", {"ref": "refs/heads/x", "sha": "0" * 40}, token=body["token"])
    assert (refused.status_code, refused.json()["message"]) == (403, "Resource not accessible by integration")
    assert refused.headers["X-Accepted-GitHub-Permissions"] == "contents=write"
    assert hub.api("GET", f"{TALLY}/pulls", token=body["token"]).status_code == 403
    assert as_app(hub, "POST", url, {"repository_ids": [4002]}).status_code == 422
    assert as_app(hub, "POST", url, {"permissions": {"administration": "write"}}).status_code == 422


def test_a_token_lives_for_an_hour_or_until_it_is_revoked(hub: Hub) -> None:
    made = as_app(hub, "POST", "/app/installations/3001/access_tokens").json()
    ends = time.mktime(time.strptime(made["expires_at"], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert 3500 < ends - time.time() <= 3600
    assert hub.api("DELETE", "/installation/token", token=made["token"]).status_code == 204
    assert hub.api("GET", TALLY, token=made["token"]).status_code == 401


def test_a_suspended_installation_is_refused_until_it_is_lifted(hub: Hub) -> None:
    token = hub.token(3002)
    assert as_app(hub, "PUT", "/app/installations/3002/suspended").status_code == 204
    refused = hub.api("GET", "/installation/repositories", token=token)
    assert (refused.status_code, refused.json()["message"]) == (403, "This installation has been suspended")
    assert as_app(hub, "POST", "/app/installations/3002/access_tokens").status_code == 403
    assert as_app(hub, "DELETE", "/app/installations/3002/suspended").status_code == 204
    assert hub.api("GET", "/installation/repositories", token=token).status_code == 200


def test_a_person_is_who_they_are_and_does_what_their_role_allows(hub: Hub) -> None:
    linus, grace = hub.person("linus"), hub.person("grace")
    assert hub.get("/user", token=grace)["id"] == 1002
    assert [o["login"] for o in hub.get("/user/orgs", token=grace)] == ["lumen-works"]
    (membership,) = hub.get("/user/memberships/orgs", token=grace)
    assert (membership["role"], membership["organization"]["id"]) == ("member", 2001)
    assert [i["id"] for i in hub.get("/user/installations", token=grace)["installations"]] == [3001]
    (repo,) = hub.get("/user/installations/3001/repositories", token=linus)["repositories"]
    assert (repo["permissions"]["pull"], repo["permissions"]["push"]) == (True, False)
    wish = {"title": "x", "head": "main", "base": "main"}
    assert hub.api("POST", f"{TALLY}/pulls", wish, token=linus).status_code == 403
    assert hub.api("POST", f"{TALLY}/pulls", wish, token=grace).status_code == 422


def test_permissions_are_told_by_role(hub: Hub) -> None:
    def role(login: str) -> str:
        return hub.get(f"{TALLY}/collaborators/{login}/permission")["permission"]

    assert {n: role(n) for n in ("ada", "grace", "linus", "margaret")} == {
        "ada": "admin", "grace": "write", "linus": "read", "margaret": "none"
    }  # fmt: skip
    assert hub.api("GET", f"{TALLY}/collaborators/nobody/permission").status_code == 404
    hub.control("PUT", "repositories/4001/access/linus", {"role": "maintain"})
    whole = hub.get(f"{TALLY}/collaborators/linus/permission")
    assert (whole["permission"], whole["role_name"]) == ("write", "maintain")
    hub.control("PUT", "repositories/4001/access/linus", {"role": "read"})
    assert hub.api("GET", f"{TALLY}/collaborators", token=hub.person("linus")).status_code == 403
    assert {c["login"] for c in hub.get(f"{TALLY}/collaborators")} == {"ada", "grace", "linus"}


def test_members_are_for_those_inside(hub: Hub) -> None:
    assert {m["login"] for m in hub.get("/orgs/lumen-works/members")} == {"ada", "grace", "linus"}
    assert hub.get("/orgs/lumen-works/members", token=hub.person("margaret")) == []
    narrow = hub.server.token(permissions={"contents": "read"})
    assert hub.api("GET", "/orgs/lumen-works/members", token=narrow).status_code == 403


# signing in


def exchange(hub: Hub, **fields: str) -> dict[str, str]:
    app = hub.server.identity
    whole = {"client_id": app["client_id"], "client_secret": app["client_secret"], **fields}
    answer = hub.http.post(
        f"{hub.server.url}/login/oauth/access_token", data=whole, headers={"Accept": "application/json"}
    )
    assert answer.status_code == 200, "GitHub's errors come with 200"
    return answer.json()


def code_for(hub: Hub, login: str, **more: str) -> str:
    form = {"client_id": hub.server.identity["client_id"], "redirect_uri": BACK, "state": "a b", "login": login, **more}
    answer = hub.http.post(f"{hub.server.url}/login/oauth/choose", data=form)
    hub.http.cookies.clear()
    assert answer.status_code == 302
    back = httpx.URL(answer.headers["location"])
    assert (back.path, back.params["state"]) == ("/back", "a b")
    return back.params["code"]


def test_the_sign_in_page_offers_the_cast_and_runs_no_script(hub: Hub) -> None:
    query = {"client_id": hub.server.identity["client_id"], "redirect_uri": BACK, "state": '"><b>', "login": "grace"}
    page = hub.http.get(f"{hub.server.url}/login/oauth/authorize", params=query)
    assert page.status_code == 200
    assert all(name in page.text for name in ("Ada Byron", "Grace Murray", "Linus Berg", "Margaret Heafield"))
    assert "<script" not in page.text
    assert '"><b>' not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert hub.http.get(f"{hub.server.url}/login/oauth/authorize", params=query | {"client_id": "x"}).status_code == 404
    bad = query | {"redirect_uri": "javascript:alert(1)"}
    assert hub.http.get(f"{hub.server.url}/login/oauth/authorize", params=bad).status_code == 400


def test_a_code_works_once(hub: Hub) -> None:
    code = code_for(hub, "grace")
    got = exchange(hub, code=code, redirect_uri=BACK)
    assert (got["token_type"], got["expires_in"], got["access_token"][:4]) == ("bearer", 28800, "ghu_")
    assert exchange(hub, code=code)["error"] == "bad_verification_code"
    assert (
        exchange(hub, code=code_for(hub, "grace"), redirect_uri="http://127.0.0.1/other")["error"]
        == "redirect_uri_mismatch"
    )
    assert exchange(hub, code="x", client_secret="wrong")["error"] == "incorrect_client_credentials"
    assert exchange(hub, grant_type="password")["error"] == "unsupported_grant_type"


def test_pkce_is_checked(hub: Hub) -> None:
    verifier = "v" * 50
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {"code_challenge": challenge, "code_challenge_method": "S256"}
    assert "access_token" in exchange(hub, code=code_for(hub, "ada", **asked), code_verifier=verifier)
    wrong = exchange(hub, code=code_for(hub, "ada", **asked), code_verifier="other")
    assert wrong["error"] == "bad_verification_code"
    assert exchange(hub, code=code_for(hub, "ada", **asked))["error"] == "bad_verification_code"


def test_a_refresh_token_works_once_and_ends_the_old_pair(hub: Hub) -> None:
    first = sign_in(hub, "linus")
    second = exchange(hub, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert hub.get("/user", token=second["access_token"])["login"] == "linus"
    assert hub.api("GET", "/user", token=first["access_token"]).status_code == 401
    again = exchange(hub, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert again["error"] == "bad_refresh_token"


def test_the_answer_is_a_form_unless_json_is_asked_for(hub: Hub) -> None:
    app = hub.server.identity
    fields = {"client_id": app["client_id"], "client_secret": app["client_secret"], "code": code_for(hub, "ada")}
    answer = hub.http.post(f"{hub.server.url}/login/oauth/access_token", json=fields)
    assert httpx.QueryParams(answer.text)["access_token"].startswith("ghu_")


def test_who_cancels_is_sent_back_without_a_code(hub: Hub) -> None:
    form = {"client_id": hub.server.identity["client_id"], "redirect_uri": BACK + "?a=1", "state": "s", "cancel": "1"}
    answer = hub.http.post(f"{hub.server.url}/login/oauth/choose", data=form)
    back = httpx.URL(answer.headers["location"])
    assert {k: back.params[k] for k in ("a", "error", "state")} == {"a": "1", "error": "access_denied", "state": "s"}
    assert "code" not in back.params


def test_a_person_withdraws_the_authorization(hub: Hub) -> None:
    tokens = sign_in(hub, "margaret")
    hub.control("DELETE", "people/margaret/authorization")
    hub.tokens.pop("margaret", None)
    assert hub.api("GET", "/user", token=tokens["access_token"]).status_code == 401
    assert (
        exchange(hub, grant_type="refresh_token", refresh_token=tokens["refresh_token"])["error"] == "bad_refresh_token"
    )
