"""What a person sees in a browser, and what the buttons do; the form that takes an App's manifest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from xml.etree import ElementTree

import httpx2 as httpx
import pytest

from tests.devkit.conftest import TALLY, Hub


@pytest.fixture
def browser(hub: Hub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hub.server.url, follow_redirects=True, trust_env=False) as client:
        yield client


def choose(browser: httpx.Client, login: str) -> None:
    browser.post("/login", data={"login": login, "return_to": "/"})


def test_a_pull_request_is_merged_by_a_button(hub: Hub, browser: httpx.Client) -> None:
    pull = hub.pull(body="<b>bold</b>", title="Merge <me>")
    page = browser.get(f"/lumen-works/tally/pull/{pull['number']}")
    assert "Merge &lt;me&gt;" in page.text
    assert "&lt;b&gt;bold" in page.text
    assert "<script" not in page.text
    merged = browser.post(f"/lumen-works/tally/pull/{pull['number']}/merge", data={"method": "squash"})
    assert "Merged by ada" in merged.text, "nobody has signed in, so an owner acts"
    assert hub.get(f"{TALLY}/pulls/{pull['number']}")["merged_by"]["login"] == "ada"
    assert f"/pull/{pull['number']}" in browser.get("/lumen-works/tally").text


def test_who_may_only_read_merges_nothing(hub: Hub, browser: httpx.Client) -> None:
    pull = hub.pull()
    url = f"/lumen-works/tally/pull/{pull['number']}"
    choose(browser, "linus")
    assert "disabled" in browser.get(url).text
    assert "needs write access" in browser.post(f"{url}/merge").text
    assert hub.get(f"{TALLY}/pulls/{pull['number']}")["state"] == "open"
    assert browser.post(f"{url}/comment", data={"body": "I may say this"}).status_code == 200
    choose(browser, "margaret")
    assert browser.get(url).status_code == 404
    assert "lumen-works" not in browser.get("/").text


def test_close_reopen_and_ready_for_review(hub: Hub, browser: httpx.Client) -> None:
    pull = hub.pull(draft=True)
    url = f"/lumen-works/tally/pull/{pull['number']}"
    choose(browser, "grace")
    for verb, expected in (("close", "closed"), ("reopen", "open")):
        browser.post(f"{url}/{verb}")
        assert hub.get(f"{TALLY}/pulls/{pull['number']}")["state"] == expected
    browser.post(f"{url}/ready")
    assert hub.get(f"{TALLY}/pulls/{pull['number']}")["draft"] is False


def test_every_page_has_an_icon(hub: Hub, browser: httpx.Client) -> None:
    """Without it, browsers request /favicon.ico and show a 404 in the console."""
    pull = f"/lumen-works/tally/pull/{hub.pull()['number']}"
    for path in ("/", "/login", "/lumen-works/tally", pull, "/lumen-works/nothing"):
        page = browser.get(path)
        link = re.search(r'<link rel="icon" href="(/[^"]+)" type="image/svg\+xml">', page.text)
        assert link, path
        assert "img-src 'self'" in page.headers["Content-Security-Policy"]
        for icon in (browser.get(link[1]), browser.get("/favicon.ico")):
            assert (icon.status_code, icon.headers["Content-Type"]) == (200, "image/svg+xml")
            assert ElementTree.fromstring(icon.text).tag.endswith("svg")


def test_a_form_from_another_site_does_nothing(hub: Hub, browser: httpx.Client) -> None:
    pull = hub.pull()
    url = f"/lumen-works/tally/pull/{pull['number']}/merge"
    browser.post(url, headers={"Origin": "http://elsewhere.example"})
    assert hub.get(f"{TALLY}/pulls/{pull['number']}")["state"] == "open"


def test_nothing_leads_away_from_here(browser: httpx.Client) -> None:
    for address in ("https://elsewhere.example", "//elsewhere.example", "/\\elsewhere.example"):
        answer = browser.post("/login", data={"login": "ada", "return_to": address}, follow_redirects=False)
        assert answer.headers["Location"] == "/"


MANIFEST = {
    "name": "Our Foundry",
    "url": "http://127.0.0.1:1",
    "redirect_url": "http://127.0.0.1:1/back",
    "default_permissions": {
        "contents": "write", "pull_requests": "write", "issues": "write", "metadata": "read", "members": "read",
        "workflows": "write", "checks": "read", "statuses": "read", "actions": "read",
    },
    "default_events": ["push", "pull_request", "create", "delete", "issue_comment", "member"],
}  # fmt: skip


def test_a_manifest_becomes_the_app(hub: Hub, browser: httpx.Client) -> None:
    page = browser.post("/settings/apps/new?state=abc", data={"manifest": json.dumps(MANIFEST)})
    assert "Create GitHub App for Our Foundry" in page.text
    form = {"manifest": json.dumps(MANIFEST), "state": "abc"}
    back = browser.post("/settings/apps/accept", data=form, follow_redirects=False).headers["Location"]
    params = httpx.URL(back).params
    assert params["state"] == "abc"
    made = hub.api("POST", f"/app-manifests/{params['code']}/conversions", token="")
    assert made.status_code == 201
    assert (made.json()["pem"], made.json()["webhook_secret"]) == (
        hub.server.identity["private_key"],
        hub.server.identity["webhook_secret"],
    )
    assert hub.api("POST", f"/app-manifests/{params['code']}/conversions", token="").status_code == 404


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"default_events": ["installation"]}, "Default events unsupported: installation"),
        (
            {"default_events": ["organization"], "default_permissions": {"organization_administration": "read"}},
            "not supported by permissions: organization",
        ),
        ({"default_permissions": {"metadata": "read"}}, "not supported by permissions: push"),
        ({"hook_attributes": {}}, "Hook url"),
        ({"url": ""}, "url can"),
    ],
)
def test_a_manifest_that_github_refuses_is_refused(
    browser: httpx.Client, change: dict[str, object], words: str
) -> None:
    page = browser.post("/settings/apps/new", data={"manifest": json.dumps(MANIFEST | change)})
    assert (page.status_code, words in page.text.replace("&#39;", "'")) == (422, True)
