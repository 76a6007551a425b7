"""A browser's change comes from Foundry's own pages."""

from __future__ import annotations

import pytest

from tests.api.edge import ADA, ORG, TOKEN, URL, Edge
from tests.api.problems import problem

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({"Origin": URL}, True),
        ({"Origin": "http://evil.test"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "https://foundry.test"}, False),
        ({"Origin": f"{URL}.evil.test"}, False),
        ({"Referer": f"{URL}/tasks"}, True),
        ({"Referer": "http://evil.test/x"}, False),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({}, True),  # no browser
        ({"Origin": "http://127.0.0.1:7741", "Host": "127.0.0.1:7741"}, True),
    ],
)
async def test_a_change_with_a_cookie_comes_from_our_own_pages(one_edge: Edge, headers: dict[str, str], passes: bool):
    async with await one_edge.browser(ADA) as browser:
        del browser.headers["Origin"]
        answer = await browser.delete(f"/api/organizations/{ORG}/issues", headers=headers)
        if passes:
            assert answer.status_code == 200, answer.text
        else:
            problem(answer, 403, "bad_origin", "Origin")
        assert (await browser.get("/api/app", headers=headers)).status_code == 200  # looking is no change


async def test_the_admin_token_is_no_cookie_so_its_origin_does_not_matter(one_edge: Edge):
    async with one_edge.client(Authorization=f"Bearer {TOKEN}", Origin="http://evil.test") as admin:
        answer = await admin.delete(f"/api/organizations/{ORG}/issues", headers={"X-Foundry-As": "ada"})
        assert answer.status_code == 200


@pytest.mark.parametrize("other", ["Basic YWRhOmFkYQ==", "Token x", "x", ""])
async def test_another_authorization_header_does_not_replace_the_check_of_the_origin(one_edge: Edge, other: str):
    async with await one_edge.browser(ADA) as browser:
        headers = {"Authorization": other, "Origin": "http://evil.test"}
        answer = await browser.delete(f"/api/organizations/{ORG}/issues", headers=headers)
        problem(answer, 403, "bad_origin", "Origin")


async def test_a_bearer_token_counts_alone_and_the_cookie_beside_it_is_ignored(one_edge: Edge):
    async with await one_edge.browser(ADA) as browser:
        as_grace = {"Authorization": f"Bearer {TOKEN}", "X-Foundry-As": "grace"}
        assert (await browser.get("/api/app", headers=as_grace)).json()["person"]["login"] == "grace"
        for bad in ("Bearer guessed", "Bearer fdy_guessed", "Bearer ", "Bearer", "bearer guessed"):
            answer = await browser.get("/api/app", headers={"Authorization": bad})
            problem(answer, 401, "not_signed_in", "Authorization")
