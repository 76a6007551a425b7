"""Who asks: a person with an app session, or the local admin token acting as one."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest

from foundry.actors.user_github_data.views import person, sealed_tokens
from foundry.api.auth import hashed
from foundry.api.context import COOKIE
from foundry.api.sign_in import local_path
from foundry.contracts.ids import UserId
from foundry.contracts.sign_in import SignInPolicy
from tests.actors.tree import person_of_token
from tests.api.edge import ADA, BOB, ORG, TOKEN, URL, Edge
from tests.api.problems import problem


async def sign_in(client: httpx.AsyncClient, code: str = "1003", next: str = "/somewhere?x=1") -> httpx.Response:
    """Go to GitHub and come back with a code."""
    away = await client.get("/auth/github", params={"next": next})
    assert away.status_code == 302
    state = parse_qs(urlsplit(away.headers["location"]).query)["state"][0]
    return await client.get("/auth/github/callback", params={"code": code, "state": state})


async def test_signing_in_with_github_opens_an_app_session(edge: Edge):
    edge.foundry.sign_in_policy = SignInPolicy(logins=["bob"])
    async with edge.client() as browser:
        back = await sign_in(browser)
        assert (back.status_code, back.headers["location"]) == (302, "/somewhere?x=1")
        cookie = back.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie  # the public address is http
        assert (await browser.get("/api/app")).json()["person"]["login"] == "bob"
        token = browser.cookies[COOKIE]
    assert await edge.runtime.read(person_of_token, hashed(token)) == BOB.id
    assert (await edge.runtime.read(person, UserId(BOB.id))).email == "1003+bob@users.noreply.github.com"
    sealed = await edge.runtime.read(sealed_tokens, UserId(BOB.id))
    assert "token of" not in sealed.access_token
    assert edge.foundry.sealer.unseal(sealed.access_token) == "token of 1003"


async def test_on_https_no_other_host_can_set_the_cookies(edge: Edge):
    """`__Host-` demands https, the path /, and no domain."""
    edge.foundry.public_url = "https://foundry.test"
    edge.foundry.sign_in_policy = SignInPolicy(logins=["bob"])
    async with edge.client() as browser:
        browser.base_url = httpx.URL("https://foundry.test")
        away = await browser.get("/auth/github")
        back = await sign_in(browser)
        for name, answer in (("__Host-foundry_sign_in", away), ("__Host-foundry_session", back)):
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith(f"{name}=")
            for rule in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"):
                assert rule in cookie.split(",")[0].replace("; ", ";").split(";"), cookie
            assert "domain" not in cookie.lower()
        assert (await browser.get("/api/app")).json()["person"]["login"] == "bob"
        token = browser.cookies["__Host-foundry_session"]
    async with edge.client(Cookie=f"{COOKIE}={token}") as planted:
        problem(await planted.get("/api/app"), 401, "not_signed_in", "Authorization")


async def test_the_browser_keeps_an_ended_sessions_cookie_for_a_minute_so_that_its_other_pages_say_why(edge: Edge):
    async with await edge.browser(ADA) as browser:
        out = await browser.post("/auth/sign-out")
        assert "Max-Age=60" in out.headers["set-cookie"]


async def test_a_bearer_token_does_not_sign_the_browser_out(edge: Edge):
    async with await edge.browser(ADA) as browser:
        assert (await browser.post("/auth/sign-out", headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 204
        assert (await browser.get("/api/app")).status_code == 200


async def test_another_address_of_the_server_leads_to_the_public_one_first(edge: Edge):
    async with edge.client(Host="127.0.0.1:7741") as browser:
        there = await browser.get("/auth/github?next=/x")
        assert there.headers["location"] == f"{URL}/auth/github?next=%2Fx&here=true"
        assert (await browser.get("/auth/github?here=true")).headers["location"].startswith("http://github.test/")


async def test_a_sign_in_that_was_not_begun_here_is_refused(edge: Edge):
    async with edge.client() as browser:
        problem(await browser.get("/auth/github/callback?code=1001&state=x"), 401, "not_signed_in", "state")
        await browser.get("/auth/github")
        problem(await browser.get("/auth/github/callback?code=1001&state=x"), 401, "not_signed_in", "state")
        problem(await sign_in(browser, code="forged"), 401, "github_sign_in_failed", "code")
        problem(await sign_in(browser, code=""), 401, "not_signed_in", "code")
        assert COOKIE not in browser.cookies


async def test_a_sign_in_that_takes_too_long_is_refused(edge: Edge):
    from datetime import timedelta

    async with edge.client() as browser:
        away = await browser.get("/auth/github")
        state = parse_qs(urlsplit(away.headers["location"]).query)["state"][0]
        edge.later = timedelta(minutes=11)
        problem(await browser.get(f"/auth/github/callback?code=1001&state={state}"), 401, "not_signed_in", "state")


@pytest.mark.parametrize("next", ["http://evil.test/", "//evil.test", "/\\evil.test", "javascript:x", "", "/\n/x"])
def test_signing_in_leads_back_to_this_server_alone(next: str):
    assert local_path(next) == "/"


async def test_signing_out_ends_the_session(edge: Edge):
    async with await edge.browser(ADA) as browser:
        assert (await browser.get("/api/app")).status_code == 200
        kept = browser.cookies[COOKIE]
        assert (await browser.post("/auth/sign-out")).status_code == 204
        browser.cookies.set(COOKIE, kept)
        found = problem(await browser.get("/api/app"), 401, "signed_out")
        assert found["detail"] == "You were signed out: you signed out in this browser."


async def test_nobody_gets_in_without_either(edge: Edge):
    async with edge.client() as nobody:
        answer = await nobody.get("/api/app")
        problem(answer, 401, "not_signed_in", "Authorization")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        problem(await nobody.get("/api/realtime?topic=app"), 401, "not_signed_in", "Authorization")
        problem(await nobody.get("/api/actors"), 403, "admin_only", "Authorization")
    async with edge.client(Authorization="Bearer guessed") as stranger:
        problem(await stranger.get("/api/app"), 401, "not_signed_in", "Authorization")
        problem(await stranger.get("/api/actors"), 401, "not_signed_in", "Authorization")
    edge.foundry.admin_token = lambda: ""
    async with edge.client(Authorization="Bearer ") as empty:
        problem(await empty.get("/api/actors"), 401, "not_signed_in", "Authorization")


async def test_the_admin_token_acts_as_a_person(edge: Edge):
    async with edge.admin("Grace") as grace:
        assert (await grace.get("/api/app")).json()["person"]["login"] == "grace"
    async with edge.admin("nobody") as nobody:
        problem(await nobody.get("/api/app"), 422, "unknown_person", "X-Foundry-As")
    async with edge.admin(None) as unclear:
        found = problem(await unclear.get("/api/app"), 422, "person_needed", "X-Foundry-As")
        assert "ada, bob, grace" in found["detail"]
        assert (await unclear.get("/api/actors")).status_code == 200


async def test_actors_are_for_the_admin_token(edge: Edge):
    async with await edge.browser(ADA) as browser:
        problem(await browser.get("/api/actors"), 403, "admin_only", "Authorization")
    async with edge.admin() as admin:
        found = (await admin.get("/api/actors", params={"kind": "Repository"})).json()
        assert [(one["key"], one["parent"], one["scope"]) for one in found] == [
            ("4001", f"Organization:{ORG}", ORG),
            ("4002", f"Organization:{ORG}", ORG),
        ]
        page = (await admin.get("/api/actors", params={"kind": "Repository", "after": "Repository:4001"})).json()
        assert [one["key"] for one in page] == ["4002"]
        assert (await admin.get("/api/actors/Repository/4001")).json() == found[0]
