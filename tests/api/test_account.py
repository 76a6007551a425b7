"""A person's own sessions and API tokens."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from sqlalchemy import select
from starlette.datastructures import Headers

from foundry.actors.app_shell.tables import app_tokens
from foundry.api.client import device_of
from foundry.api.context import COOKIE
from foundry.runtime.reader import Reader
from tests.api.edge import ADA, GRACE, Edge
from tests.api.problems import problem
from tests.api.test_signing_in import sign_in

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"


async def test_a_person_sees_their_own_sessions_and_which_one_this_is(edge: Edge):
    async with edge.client(**{"User-Agent": FIREFOX, "Origin": "http://foundry.test"}) as browser:
        await sign_in(browser, code="1001")
        async with await edge.browser(ADA, "phone"), await edge.browser(GRACE):
            found = (await browser.get("/api/me/sessions")).json()
        here = next(one for one in found if one["current"])
        assert {one["device"] for one in found} == {"Firefox on Linux", "phone"}
        assert (here["device"], here["address"]) == ("Firefox on Linux", "127.0.0.1")
        token = browser.cookies[COOKIE]
        assert token not in str(found)
        assert hashlib.sha256(token.encode()).hexdigest() not in str(found)


async def test_ending_one_session_leaves_the_others(edge: Edge):
    async with await edge.browser(ADA) as laptop, await edge.browser(ADA, "phone") as phone:
        found = (await laptop.get("/api/me/sessions")).json()
        other = next(one["id"] for one in found if one["device"] == "phone")
        assert (await laptop.delete(f"/api/me/sessions/{other}")).status_code == 204
        assert (await laptop.get("/api/app")).status_code == 200
        detail = problem(await phone.get("/api/app"), 401, "signed_out")["detail"]
        assert detail == "You were signed out: you ended this session from another one."
        problem(await laptop.delete(f"/api/me/sessions/{other}"), 404, "not_found", "session")


async def test_nobody_ends_the_session_of_somebody_else(edge: Edge):
    async with await edge.browser(ADA) as ada, await edge.browser(GRACE) as grace:
        one = (await ada.get("/api/me/sessions")).json()[0]["id"]
        problem(await grace.delete(f"/api/me/sessions/{one}"), 404, "not_found", "session")
        assert (await ada.get("/api/app")).status_code == 200


async def test_signing_out_everywhere_ends_this_session_too_and_no_token(edge: Edge):
    async with (
        await edge.token(ADA, "read") as program,
        await edge.browser(ADA) as laptop,
        await edge.browser(ADA, "phone") as phone,
        await edge.browser(GRACE) as grace,
    ):
        assert (await laptop.delete("/api/me/sessions")).json()["ended"] == 3
        for browser in (laptop, phone):
            problem(await browser.get("/api/app"), 401, "signed_out")
        for other in (program, grace):
            assert (await other.get("/api/app")).status_code == 200


async def test_the_last_use_is_recorded_after_five_minutes_and_the_request_does_not_wait_for_it(edge: Edge):
    async with await edge.browser(ADA) as ada:

        async def used() -> str:
            return (await ada.get("/api/me/sessions")).json()[0]["used_at"]

        first = await used()
        edge.later = timedelta(minutes=4)
        assert await used() == first
        await edge.foundry.settled()
        assert await used() == first
        edge.later = timedelta(minutes=6)
        assert await used() == first  # this request begins it
        await edge.foundry.settled()
        assert await used() > first


async def test_a_session_that_nobody_uses_for_fourteen_days_is_over(edge: Edge):
    async with await edge.browser(ADA) as ada:
        edge.later = timedelta(days=13, hours=23)
        assert (await ada.get("/api/app")).status_code == 200
        edge.later = timedelta(days=14, hours=1)
        await edge.foundry.settled()
        assert "nobody used" in problem(await ada.get("/api/app"), 401, "signed_out")["detail"]


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (FIREFOX, "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0 Safari/537.36", "Chrome on Android"),
        ("curl/8.1 \x07" + "x" * 500, "curl/8.1 " + "x" * 71),
        ("", ""),
    ],
)
def test_a_device_is_named_after_its_user_agent(agent: str, device: str):
    assert device_of(Headers({"user-agent": agent})) == device


# API tokens


async def test_a_token_is_shown_once_and_only_its_hash_is_stored(edge: Edge):
    async with await edge.browser(ADA) as ada:
        made = await ada.post("/api/me/tokens", json={"name": " ci ", "scopes": ["write"], "expires_in_days": 30})
        assert made.status_code == 201, made.text
        assert made.headers["cache-control"] == "no-store"
        token = made.json()["token"]
        assert token.startswith("fdy_")
        assert len(token) == 4 + 43  # 256 bits in base64
        listed = await ada.get("/api/me/tokens")
        assert token not in listed.text
        (one,) = listed.json()
        assert (one["name"], one["scopes"], one["used_at"]) == ("ci", ["read", "write"], None)
        assert one["expires_at"]

    def stored(reader: Reader) -> str:
        return str(reader.all(select(app_tokens)))

    kept = await edge.runtime.read(stored)
    assert token not in kept
    assert hashlib.sha256(token.encode()).hexdigest() in kept


async def test_a_token_says_when_and_from_where_it_was_used(edge: Edge):
    async with await edge.token(ADA, "read") as program, await edge.browser(ADA) as ada:
        for _ in range(2):
            assert (await program.get("/api/app")).json()["person"]["login"] == "ada"
            await edge.foundry.settled()
        (one,) = (await ada.get("/api/me/tokens")).json()
        assert one["used_at"]
        assert one["address"] == "127.0.0.1"
        async with edge.admin() as admin:
            said = [one["what"] for one in (await admin.get("/api/app/audit")).json()]
        assert said.count("token used for the first time") == 1


async def test_a_revoked_token_is_worth_nothing_and_says_why(edge: Edge):
    async with await edge.token(ADA, "read") as program, await edge.browser(ADA) as ada:
        (one,) = (await ada.get("/api/me/tokens")).json()
        assert (await ada.delete(f"/api/me/tokens/{one['id']}")).status_code == 204
        found = problem(await program.get("/api/app"), 401, "signed_out", "Authorization")
        assert found["detail"] == "This API token has ended: it was revoked."
        assert (await ada.get("/api/me/tokens")).json() == []


async def test_nobody_revokes_the_token_of_somebody_else(edge: Edge):
    async with await edge.token(ADA, "read") as program, await edge.browser(GRACE) as grace:
        (one,) = (await program.get("/api/me/tokens")).json()
        problem(await grace.delete(f"/api/me/tokens/{one['id']}"), 404, "not_found", "token")
        assert (await program.get("/api/app")).status_code == 200


@pytest.mark.parametrize("scope", ["read", "approve"])
async def test_a_token_revokes_itself_whatever_its_scopes(edge: Edge, scope: str):
    async with await edge.token(ADA, scope) as program:
        assert (await program.delete("/api/me/tokens/current")).status_code == 204
        problem(await program.delete("/api/me/tokens/current"), 401, "signed_out", "Authorization")


async def test_a_browser_has_no_current_token(edge: Edge):
    async with await edge.browser(ADA) as ada:
        problem(await ada.delete("/api/me/tokens/current"), 404, "not_found", "token")


async def test_an_unknown_token_is_refused(edge: Edge):
    async with edge.client(Authorization="Bearer fdy_guessed") as stranger:
        problem(await stranger.get("/api/app"), 401, "not_signed_in", "Authorization")


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"name": "", "scopes": ["read"]}, "name"),
        ({"name": " ", "scopes": ["read"]}, "name"),
        ({"name": "x" * 81, "scopes": ["read"]}, "name"),
        ({"name": "a\nb", "scopes": ["read"]}, "name"),
        ({"name": "x", "scopes": []}, "scopes"),
        ({"name": "x", "scopes": ["all"]}, "scopes.0"),
        ({"name": "x", "scopes": ["read"], "expires_in_days": 0}, "expires_in_days"),
        ({"name": "x", "scopes": ["read"], "expires_in_days": 100_000}, "expires_in_days"),
    ],
)
async def test_a_token_needs_a_name_and_known_scopes(edge: Edge, wish: dict[str, object], field: str):
    async with await edge.browser(ADA) as ada:
        problem(await ada.post("/api/me/tokens", json=wish), 422, "bad_input", field)
