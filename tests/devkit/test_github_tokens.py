"""People's tokens: they expire, refresh once, get lost, are revoked; and what each caller's requests cost."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import httpx2 as httpx
import pytest

from tests.devkit.conftest import TALLY, Hub, Listener, sign_in
from tests.devkit.test_github_people import exchange, fresh


@pytest.fixture
def lives(hub: Hub) -> Iterator[Hub]:
    """The lifetimes of tokens are GitHub's again afterwards."""
    yield hub
    hub.control("PUT", "token-lives", {})


def refresh(hub: Hub, tokens: dict[str, Any]) -> dict[str, Any]:
    return exchange(hub, grant_type="refresh_token", refresh_token=tokens["refresh_token"])


def valid(hub: Hub, tokens: dict[str, Any]) -> bool:
    answer = hub.api("GET", "/user", token=tokens["access_token"])
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


def test_an_expired_access_token_is_refused_and_refreshed(hub: Hub) -> None:
    login = fresh(hub)["login"]
    tokens, other = sign_in(hub, login), sign_in(hub, login)
    hub.control("POST", f"people/{login}/expired", {"access": True})
    answer = hub.api("GET", "/user", token=tokens["access_token"])
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")
    renewed = refresh(hub, tokens)
    assert renewed["refresh_token"] != tokens["refresh_token"]
    assert valid(hub, renewed)
    assert refresh(hub, tokens)["error"] == "bad_refresh_token", "it works once"
    assert valid(hub, refresh(hub, other)), "each sign-in has its own"


def test_an_expired_refresh_token_is_bad_and_leaves_the_access_token(hub: Hub) -> None:
    login = fresh(hub)["login"]
    tokens = sign_in(hub, login)
    hub.control("POST", f"people/{login}/expired", {"refresh": True})
    failed = refresh(hub, tokens)
    assert failed["error"] == "bad_refresh_token"
    assert failed["error_description"] == "The refresh token passed is incorrect or expired."
    assert valid(hub, tokens)


def test_a_lost_answer_has_used_the_refresh_token(hub: Hub) -> None:
    tokens = sign_in(hub, fresh(hub)["login"])
    hub.control("POST", "faults", {"path": "oauth", "status": 502, "after": True})
    app = hub.server.identity
    fields = {"client_id": app["client_id"], "client_secret": app["client_secret"], "grant_type": "refresh_token"}
    fields["refresh_token"] = tokens["refresh_token"]
    assert hub.http.post(f"{hub.server.url}/login/oauth/access_token", data=fields).status_code == 502
    assert not valid(hub, tokens)
    assert refresh(hub, tokens)["error"] == "bad_refresh_token"


def test_the_lifetimes_can_be_set(lives: Hub) -> None:
    lives.control("PUT", "token-lives", {"access": 0, "refresh": 900})
    tokens = sign_in(lives, fresh(lives)["login"])
    assert (tokens["expires_in"], tokens["refresh_token_expires_in"]) == (0, 900)
    assert not valid(lives, tokens)
    lives.control("PUT", "token-lives", {})
    renewed = refresh(lives, tokens)
    assert (renewed["expires_in"], renewed["refresh_token_expires_in"]) == (28_800, 15_897_600)


def test_an_app_whose_tokens_do_not_expire_has_no_refresh_tokens(lives: Hub) -> None:
    lives.control("PUT", "token-lives", {"expiring": False})
    login = fresh(lives)["login"]
    tokens = sign_in(lives, login)
    assert set(tokens) == {"access_token", "token_type", "scope"}
    assert valid(lives, tokens)
    lives.control("PUT", "token-lives", {"expiring": True})
    assert valid(lives, tokens), "it goes on after the App has opted in"
    lives.control("DELETE", f"people/{login}/authorization")
    assert not valid(lives, tokens)


def as_owner(hub: Hub, method: str, what: str, token: str) -> httpx.Response:
    """The App's owner asks, by its client id and secret."""
    app = hub.server.identity
    login = base64.b64encode(f"{app['client_id']}:{app['client_secret']}".encode()).decode()
    url = f"{hub.server.api}/applications/{app['client_id']}/{what}"
    return hub.http.request(method, url, json={"access_token": token}, headers={"Authorization": f"Basic {login}"})


def test_the_person_revokes_and_the_app_hears_who(hub: Hub, hooks: Listener) -> None:
    person = fresh(hub)
    tokens, other = sign_in(hub, person["login"]), sign_in(hub, person["login"])
    hub.control("DELETE", f"people/{person['login']}/authorization")
    told = hooks.wait("github_app_authorization", "revoked").body
    assert set(told) == {"action", "sender"}
    assert (told["sender"]["id"], told["sender"]["type"]) == (person["id"], "User")
    assert not valid(hub, tokens)
    assert not valid(hub, other)
    assert refresh(hub, tokens)["error"] == "bad_refresh_token"


def test_the_app_checks_and_revokes_a_token_or_the_grant(hub: Hub) -> None:
    person = fresh(hub)
    one, two = sign_in(hub, person["login"]), sign_in(hub, person["login"])
    assert as_owner(hub, "POST", "token", one["access_token"]).json()["user"]["id"] == person["id"]
    assert as_owner(hub, "POST", "token", "ghu_x").status_code == 404
    assert as_owner(hub, "DELETE", "token", one["access_token"]).status_code == 204
    assert (valid(hub, one), valid(hub, two)) == (False, True)
    assert as_owner(hub, "DELETE", "token", one["access_token"]).status_code == 422
    assert as_owner(hub, "DELETE", "grant", two["access_token"]).status_code == 204
    assert not valid(hub, two)
    assert refresh(hub, two)["error"] == "bad_refresh_token"


# what requests cost


def test_requests_are_counted_by_caller(hub: Hub) -> None:
    person = fresh(hub)
    caller, token = f"user:{person['id']}", hub.person(person["login"])
    hub.token()
    hub.control("DELETE", "requests")
    etag = hub.api("GET", "/user", token=token).headers["ETag"]
    for _ in range(2):
        assert hub.api("GET", "/user", token=token, If_None_Match=etag).status_code == 304
    hub.api("GET", "/nowhere", token=token)
    hub.api("GET", "/rate_limit", token=token)
    hub.control("POST", "faults", {"path": "/user", "status": 502})
    assert hub.api("GET", "/user/orgs", token=token).status_code == 200, "the fault is for another path"
    hub.control("DELETE", "faults")
    hub.control("POST", "faults", {"path": "user", "status": 502})
    assert hub.api("GET", "/user", token=token).status_code == 502
    hub.get(TALLY)
    hub.api("GET", "/app", token=hub.server.app_token())
    counts = hub.control("GET", "requests")
    assert counts[caller] == {"requests": 7, "not_modified": 2, "charged": 3}
    assert counts["installation:3001"] == {"requests": 1, "not_modified": 0, "charged": 1}
    assert counts["app"]["requests"] == 1
    hub.control("DELETE", "requests")
    assert hub.control("GET", "requests") == {}


def test_a_callers_remaining_budget_can_be_set(hub: Hub) -> None:
    person = fresh(hub)
    token = hub.person(person["login"])
    hub.control("PUT", f"budgets/user:{person['id']}", {"remaining": 1, "reset_in": 60})
    answer = hub.api("GET", "/user", token=token)
    assert (answer.status_code, answer.headers["X-RateLimit-Remaining"]) == (200, "0")
    refused = hub.api("GET", "/user", token=token)
    assert (refused.status_code, refused.headers["X-RateLimit-Remaining"]) == (403, "0")
    assert refused.json()["message"] == f"API rate limit exceeded for user ID {person['id']}."
    assert hub.api("GET", TALLY).status_code == 200, "the others have theirs"
    counts = hub.control("GET", "requests")[f"user:{person['id']}"]
    assert (counts["requests"], counts["charged"]) == (2, 1)
    hub.control("PUT", f"budgets/user:{person['id']}", {"remaining": 400})
    assert hub.api("GET", "/user", token=token).headers["X-RateLimit-Remaining"] == "399"
