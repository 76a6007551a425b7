"""Settings, "Sessions and tokens", and the page that approves a command line's login."""

from __future__ import annotations

import re
from typing import Any

import httpx2 as httpx
import pytest

from foundry.contracts.people import Access
from tests.api.edge import ADA, BOB, GRACE, ORG, TALLY, URL, Edge, listening
from tests.web.test_live import live, opened
from tests.web.test_pages import BROWSER, SCRIPT, browser, page

HERE = "/settings/sessions"


async def begin(edge: Edge) -> dict[str, Any]:
    async with edge.client() as line:
        wish = {"device_name": "ada's <laptop>", "scopes": ["write", "approve"]}
        return (await line.post("/api/login/device", json=wish)).json()


async def test_a_person_sees_their_sessions_and_ends_one(edge: Edge):
    async with await browser(edge) as ada, await edge.browser(ADA, "phone") as phone:
        shown = page(await ada.get(HERE))
        assert "This browser" in shown
        end = re.search(r'action="(/settings/sessions/aps_\w+/end)"[^>]*>\s*<button[^>]*the session on phone', shown)
        assert end
        answer = await ada.post(end[1])
        assert (answer.status_code, answer.headers["location"]) == (303, HERE)
        assert "phone" not in page(await ada.get(HERE))
        assert (await phone.get("/api/app")).status_code == 401


async def test_signing_out_everywhere_leads_to_the_sign_in_page_which_says_why(edge: Edge):
    async with await browser(edge) as ada:
        assert "Sign out everywhere" in page(await ada.get(HERE))
        answer = await ada.post("/settings/sessions/end-all", headers=SCRIPT)
        assert (answer.status_code, answer.headers["hx-redirect"]) == (204, HERE)
        shown = page(await ada.get(HERE), 401)
        assert "You were signed out: you signed out everywhere." in shown
        assert f"/auth/github?next={HERE}" in shown
        assert "You were signed out: you signed out everywhere." in page(await ada.get("/"))


async def test_a_new_token_is_shown_once(edge: Edge):
    async with await browser(edge) as ada:
        form = {"name": "ci", "write": "1", "expires_in_days": "30"}
        made = await ada.post("/settings/tokens", data=form)
        token = re.search(r"fdy_[\w-]{43}", page(made))
        assert token
        assert made.headers["cache-control"] == "no-store"
        later = page(await ada.get(HERE))
        assert token[0] not in later
        assert "<b>ci</b> <code>read write</code>" in later
        async with edge.client(Authorization=f"Bearer {token[0]}") as program:
            assert (await program.get("/api/app")).json()["person"]["login"] == "ada"
            revoke = re.search(r'action="(/settings/tokens/tok_\w+/revoke)"', later)
            assert revoke
            assert (await ada.post(revoke[1])).status_code == 303
            assert (await program.get("/api/app")).status_code == 401


@pytest.mark.parametrize(
    ("form", "says"), [({"name": "", "read": "1"}, "name"), ({"name": "x<b>"}, "scopes"), ({"name": "y" * 81}, "80")]
)
async def test_a_refused_token_form_comes_back_with_the_reason(edge: Edge, form: dict[str, str], says: str):
    async with await browser(edge) as ada:
        shown = page(await ada.post("/settings/tokens", data=form), 422)
        assert says in shown
        assert '<b>"' not in shown
        assert "created-token" not in shown


async def test_a_page_of_another_site_creates_no_token(edge: Edge):
    async with await browser(edge) as ada:
        answer = await ada.post(
            "/settings/tokens", data={"name": "x", "read": "1"}, headers={"Origin": "http://evil.test"}
        )
        assert answer.status_code == 403
        assert (await ada.get("/api/me/tokens")).json() == []


async def test_every_page_leads_to_the_settings(edge: Edge):
    async with await browser(edge) as ada:
        assert f'href="{HERE}"' in page(await ada.get(f"/organizations/{ORG}"))


async def test_only_who_may_see_an_organizations_settings_is_led_there(edge: Edge):
    link = f'href="/organizations/{ORG}/settings"'
    async with await browser(edge) as ada, await browser(edge, GRACE) as grace:
        assert link in page(await ada.get(f"/organizations/{ORG}"))
        assert link not in page(await grace.get(f"/organizations/{ORG}"))


# a command line's login


async def test_a_person_sees_what_they_approve(edge: Edge):
    begun = await begin(edge)
    async with await browser(edge) as ada:
        shown = page(await ada.get(begun["verification_uri_complete"].removeprefix(URL)))
        for text in ("ada&#39;s &lt;laptop&gt;", begun["user_code"], "write approve", "from 127.0.0.1", "<b>ada</b>"):
            assert text in shown
        done = await ada.post("/login/device", data={"user_code": begun["user_code"], "answer": "approve"})
        assert "Approved. Go back to the terminal." in page(done)
        async with edge.client() as line:
            got = await line.post("/api/login/device/token", json={"device_code": begun["device_code"]})
            assert got.json()["access_token"].startswith("fdy_")


async def test_a_person_denies_a_login_that_they_did_not_start(edge: Edge):
    begun = await begin(edge)
    async with await browser(edge, GRACE) as grace, edge.client() as line:
        done = await grace.post("/login/device", data={"user_code": begun["user_code"], "answer": "deny"})
        assert "Denied." in page(done)
        got = await line.post("/api/login/device/token", json={"device_code": begun["device_code"]})
        assert got.json()["code"] == "access_denied"


async def test_a_form_without_an_answer_approves_nothing(edge: Edge):
    begun = await begin(edge)
    async with await browser(edge) as ada:
        assert "Denied." in page(await ada.post("/login/device", data={"user_code": begun["user_code"]}))


async def test_the_code_is_asked_for_and_a_wrong_one_comes_back(edge: Edge):
    async with await browser(edge) as ada:
        assert 'name="user_code"' in page(await ada.get("/login/device"))
        shown = page(await ada.get('/login/device?user_code="><b>x'), 404)
        assert "this code does not exist" in shown
        assert "<b>x" not in shown


async def test_who_is_not_signed_in_comes_back_to_the_code(edge: Edge):
    begun = await begin(edge)
    async with edge.client(**BROWSER) as nobody:
        shown = page(await nobody.get(begun["verification_uri_complete"].removeprefix(URL)), 401)
        assert f"/auth/github?next=/login/device%3Fuser_code%3D{begun['user_code']}" in shown


# pages that are open when the session ends


async def test_an_open_page_leaves_when_its_session_ends_and_says_why(edge: Edge):
    async with listening(edge) as url, await edge.browser(ADA) as ada:
        address = await opened(ada, f"/organizations/{ORG}")
        async with live(url, ada, address) as shown:
            await shown.next("clock")
            async with await edge.browser(ADA, "phone") as phone:
                await phone.delete("/api/me/sessions")
            await shown.next("leave", limit=5.0)
        after = page(await ada.get(f"/organizations/{ORG}", headers=BROWSER), 401)
        assert "You were signed out: you signed out everywhere." in after


@pytest.mark.parametrize("path", [HERE, "/login/device"])
async def test_a_page_outside_an_organization_leaves_too(edge: Edge, path: str):
    async with listening(edge) as url, await edge.browser(GRACE) as grace:
        shown = page(await grace.get(path, headers=BROWSER))
        assert f'data-live="/live/account" data-versions="" data-back="{path}"' in shown
        async with live(url, grace, "/live/account") as stream:
            await stream.next("clock")
            async with await edge.browser(GRACE, "phone") as phone:
                await phone.delete("/api/me/sessions")
            await stream.next("leave", limit=5.0)


async def test_the_start_page_continues_when_the_first_organization_appears(edge: Edge):
    async with listening(edge) as url, await edge.browser(BOB) as bob:
        assert "none of your organizations" in page(await bob.get("/", headers=BROWSER))
        async with live(url, bob, "/live/start") as stream:
            await stream.next("clock")
            await edge.gives(BOB, TALLY, Access.READ)
            await stream.next("leave", limit=5.0)
        assert (await bob.get("/", headers=BROWSER)).headers["location"] == f"/organizations/{ORG}"


async def test_a_page_that_was_hidden_when_its_session_ended_leaves_when_it_is_shown_again(edge: Edge):
    async with await edge.browser(ADA) as ada:
        address = await opened(ada, f"/organizations/{ORG}")
        await ada.delete("/api/me/sessions")
        answer = await ada.get(address, headers={"Accept": "text/event-stream"})
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert "event: leave" in answer.text


async def test_a_program_that_subscribes_gets_a_problem_and_no_page(edge: Edge):
    async with edge.client(Accept="text/event-stream") as nobody:
        answer: httpx.Response = await nobody.get("/api/realtime?topic=app")
        assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
