"""The pages without a browser: what they show, what their forms do, how they refuse."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest

from foundry.actors.user_github_data.views import sealed_tokens
from foundry.contracts import addresses
from foundry.contracts.people import Access
from foundry.contracts.user_github_data import BeginRefresh, RefreshEnded, RefreshOutcome
from tests.api.edge import ADA, BOB, GRACE, ORG, SITE, TALLY, Edge

BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
SCRIPT = {"HX-Request": "true", "Accept": "*/*"}


async def browser(edge: Edge, person: object = ADA) -> httpx.AsyncClient:
    client = await edge.browser(person)  # type: ignore[arg-type]
    client.headers.update(BROWSER)
    return client


def page(answer: httpx.Response, status: int = 200) -> str:
    """The page; fails if it is none, or may be framed or scripted by others."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in answer.text
    assert not re.search(r"\son\w+=", answer.text)
    assert not re.search(r"\sstyle=", answer.text)
    return answer.text


async def test_who_is_not_signed_in_is_asked_to_and_comes_back(edge: Edge):
    async with edge.client(**BROWSER) as nobody:
        assert "/auth/github?next=/" in page(await nobody.get("/"))
        shown = page(await nobody.get(f"/organizations/{ORG}?archived=1"), 401)
        assert f"/auth/github?next=/organizations/{ORG}%3Farchived%3D1" in shown
        assert "/auth/github?next=/&" not in page(await nobody.get("/?next=//evil.example"))
        assert "evil" not in page(await nobody.get("/?next=//evil.example"))


async def test_the_start_page_leads_to_the_first_organization(edge: Edge):
    async with await browser(edge) as ada:
        answer = await ada.get("/")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/organizations/{ORG}")


async def test_a_task_is_opened_from_the_form_once_per_key(edge: Edge):
    async with await browser(edge) as ada:
        form = page(await ada.get(f"/organizations/{ORG}/new?repository={SITE.id}"))
        assert f'value="{SITE.id}" selected' in form
        key = re.search(r'name="key" value="([^"]+)"', form)
        assert key
        wish = {"repository": TALLY.id, "prompt": "Add <b>median</b>.", "key": key[1], "title": "", "branch": " "}
        first = await ada.post(f"/organizations/{ORG}/tasks", data=wish)
        again = await ada.post(f"/organizations/{ORG}/tasks", data=wish)
        assert first.status_code == again.status_code == 303
        assert first.headers["location"] == again.headers["location"]
        assert await edge.tasks() == 1
        shown = page(await ada.get(first.headers["location"]))
        assert "Add &lt;b&gt;median&lt;/b&gt;" in shown
        assert "<b>median</b>" not in shown
        assert "Add &lt;b&gt;median&lt;/b&gt;" in page(await ada.get(f"/organizations/{ORG}"))
        assert "Add &lt;b&gt;median&lt;/b&gt;" in page(await ada.get(f"/repositories/{TALLY.id}"))


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("prompt", "   ", "prompt"),
        ("branch", "a..b", "git does not allow"),
        ("repository", "4999", "no repository"),
        ("agent", "nobody", "not one of"),
        ("title", "x" * 201, "200"),
        ("prompt", "x" * 100_001, "100000"),
    ],
)
async def test_a_refused_form_comes_back_as_it_was_with_the_reason(edge: Edge, field: str, value: str, says: str):
    async with await browser(edge) as ada:
        wish = {"repository": TALLY.id, "prompt": "Something", "branch": "mine", field: value}
        answer = await ada.post(f"/organizations/{ORG}/tasks", data=wish)
        assert answer.status_code == 422
        shown = page(answer, 422)
        assert says in re.sub(r"<[^>]+>", "", shown)
        assert 'aria-invalid="true"' in shown or field == "repository"
        assert (value if field == "branch" else "mine") in shown
        assert await edge.tasks() == 0


async def test_who_may_only_read_sees_no_button_and_is_refused(edge: Edge):
    async with edge.admin() as ada, await browser(edge, GRACE) as grace:
        task = await edge.task(ada)
        path = f"/tasks/{task['id']}"
        shown = page(await grace.get(path))
        assert 'id="task-head"' in shown
        assert "composer" not in shown
        assert not re.search(r"^\s*None\s*$", shown, re.MULTILINE), "nothing stands where the message box would"
        assert 'method="post"' not in shown.replace('method="post" action="/auth/sign-out"', "")
        refused = await grace.post(f"{path}/archive", headers=SCRIPT)
        assert refused.status_code == 403
        assert refused.headers["hx-retarget"] == "#flash"
        assert "read access" in refused.text
        assert "read access" in page(await grace.post(f"{path}/archive"), 403)
        options = page(await grace.get(f"/organizations/{ORG}/new"))
        assert f'value="{TALLY.id}"' not in options


async def test_what_may_not_be_known_is_not_there(edge: Edge):
    async with edge.admin() as ada, await browser(edge, BOB) as bob:
        task = await edge.task(ada)
        session = task["sessions"][0]["id"]
        for path in (f"/tasks/{task['id']}", f"/tasks/{task['id']}/changes", f"/sessions/{session}",
                     f"/repositories/{TALLY.id}", "/tasks/tsk_nothing", "/organizations/77"):  # fmt: skip
            page(await bob.get(path), 404)
        for path in (f"/live/tasks/{task['id']}", f"/live/repositories/{TALLY.id}", "/live/organizations/77"):
            left = await bob.get(path, headers={"Accept": "text/event-stream"})
            assert left.text.endswith("event: leave\ndata: access\n\n"), left.text


async def test_a_message_is_sent_once_per_key_and_a_refused_one_stays_in_the_box(edge: Edge):
    held = edge.github.hold("branch_names")
    async with await browser(edge) as ada:
        task = await edge.task(edge.admin())
        session = task["sessions"][0]["id"]
        send = f"/sessions/{session}/messages"
        for _ in range(2):
            sent = await ada.post(send, data={"text": "One more thing", "key": "k-1"}, headers=SCRIPT)
            assert sent.status_code == 200
            assert "One more thing" not in sent.text
        queue = (await ada.get(f"/api/sessions/{session}/messages")).json()
        assert [m["text"] for m in queue].count("One more thing") == 1
        refused = await ada.post(send, data={"text": "x" * 100_001, "key": "k-2"}, headers=SCRIPT)
        assert refused.status_code == 422
        assert "x" * 100_001 in refused.text
        assert 'value="k-2"' not in refused.text, "a refusal is remembered under its key"
        taken = next(m["id"] for m in queue if m["text"] == "One more thing")
        gone = await ada.post(f"{send}/{taken}/withdraw", headers=SCRIPT)
        assert gone.status_code == 200
        assert len((await ada.get(f"/api/sessions/{session}/messages")).json()) == len(queue) - 1
        held.set()


async def test_buttons_work_without_scripts_too(edge: Edge):
    held = edge.github.hold("branch_names")
    async with await browser(edge) as ada:
        task = await edge.task(edge.admin())
        there = f"/tasks/{task['id']}"
        answer = await ada.post(f"{there}/archive")
        assert (answer.status_code, answer.headers["location"]) == (303, there)
        again = await ada.post(f"{there}/archive")
        assert "archived" in page(again, 409)
        assert "composer" not in page(await ada.get(there))
        held.set()


async def test_a_form_of_another_site_changes_nothing(edge: Edge):
    async with await browser(edge) as ada:
        wish = {"repository": TALLY.id, "prompt": "Something"}
        answer = await ada.post(f"/organizations/{ORG}/tasks", data=wish, headers={"Origin": "https://evil.example"})
        assert "another site" in page(answer, 403).lower() or answer.status_code == 403
        assert await edge.tasks() == 0


async def test_an_unknown_address_and_a_defect_have_pages(edge: Edge, monkeypatch: pytest.MonkeyPatch):
    async with await browser(edge) as ada:
        assert "nowhere" in page(await ada.get("/nowhere"), 404)
        monkeypatch.setattr("foundry.web.routes.organizations.tasks.listed", None)
        shown = page(await ada.get(f"/organizations/{ORG}?archived=1"), 500)
        assert "err_" in shown
        assert "Traceback" not in shown
    async with edge.client() as program:
        assert (await program.get("/nowhere")).headers["content-type"] == "application/problem+json"


async def test_static_files_are_kept_for_good_only_under_the_address_of_their_content(edge: Edge):
    async with edge.client() as nobody:
        shown = (await nobody.get("/", headers=BROWSER)).text
        for address in set(re.findall(r'"(/static/[^"]+)"', shown)):
            answer = await nobody.get(address)
            assert answer.status_code == 200, address
            assert "immutable" in answer.headers["cache-control"]
            assert "v=missing" not in address, "make setup brings the pages' assets"
        assert "immutable" not in (await nobody.get("/static/foundry.css")).headers.get("cache-control", "")


async def test_access_that_ends_takes_the_page_away(edge: Edge):
    async with edge.admin() as ada, await browser(edge, GRACE) as grace:
        task = await edge.task(ada)
        page(await grace.get(f"/tasks/{task['id']}"))
        await edge.gives(GRACE, TALLY, Access.NONE)
        page(await grace.get(f"/tasks/{task['id']}"), 404)


async def test_who_has_to_connect_github_again_is_told_on_every_page(edge: Edge):
    async with edge.client() as ada:
        ada.headers.update(BROWSER)
        state = parse_qs(urlsplit((await ada.get("/auth/github")).headers["location"]).query)["state"][0]
        await ada.get("/auth/github/callback", params={"code": ADA.id, "state": state})
        assert "Reconnect GitHub" not in page(await ada.get(f"/organizations/{ORG}"))
        me, kept = addresses.user_github_data(ADA.id), await edge.runtime.read(sealed_tokens, ADA.id)
        assert await edge.runtime.ask(me, BeginRefresh(attempt="rfr_1", refresh_token=kept.refresh_token or ""))
        await edge.runtime.ask(me, RefreshEnded(attempt="rfr_1", outcome=RefreshOutcome.REFUSED))
        shown = page(await ada.get(f"/organizations/{ORG}"))
        assert "GitHub no longer accepts Foundry&#39;s refresh token for you." in shown
        assert '<a href="/auth/github">Reconnect GitHub</a>' in shown
        assert (await ada.get("/api/app")).json()["github"]["state"] == "reconnect"
