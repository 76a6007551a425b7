"""A page's stream: the fragments of what changes, catching up from what the page has."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx2 as httpx
import pytest

from foundry.api.context import COOKIE
from foundry.contracts import addresses
from foundry.contracts.github_state import InstallationGranted, InstallationSummary
from foundry.contracts.issues import Failure, IssueKind, RecordFailure
from foundry.contracts.messages import ScopeId
from foundry.contracts.organization import SetPublicWork
from foundry.contracts.people import Access
from foundry.contracts.sandbox_instance import DiskSeen, SandboxMoved, SandboxState
from foundry.web.live import positions, versions
from tests.api.edge import ADA, GRACE, ORG, TALLY, URL, Edge, listening

HTML = {"Accept": "text/html"}


class Stream:
    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines
        self.have = ""

    async def next(self, name: str = "fragments", limit: float = 10.0) -> str:
        """The data of the next event of this name."""
        event, data = "", list[str]()
        async with asyncio.timeout(limit):
            async for line in self._lines:
                if line.startswith("id: "):
                    self.have = line[4:]
                elif line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("data: "):
                    data.append(line[6:])
                elif not line:
                    if event == name:
                        return "\n".join(data)
                    event, data = "", []
        raise AssertionError("the stream has ended")

    async def until(self, text: str) -> str:
        """All fragments up to those that have this text."""
        seen = ""
        while text not in seen:
            seen += await self.next()
        return seen


@asynccontextmanager
async def live(url: str, client: httpx.AsyncClient, path: str) -> AsyncIterator[Stream]:
    headers = {"host": URL.removeprefix("http://"), "cookie": f"{COOKIE}={client.cookies.get(COOKIE)}"}
    async with (
        httpx.AsyncClient(base_url=url, timeout=20.0) as http,
        http.stream("GET", path, headers=headers) as answer,
    ):
        assert answer.status_code == 200, await answer.aread()
        yield Stream(answer.aiter_lines())


async def opened(client: httpx.AsyncClient, path: str) -> str:
    """The address of the page's stream, with what the page has, as its script asks for it."""
    shown = (await client.get(path, headers=HTML)).text
    found = re.search(r'data-live="([^"]+)" data-versions="([^"]+)"', shown)
    assert found, shown
    address = found[1].replace("&amp;", "&")
    return f"{address}{'&' if '?' in address else '?'}have={found[2]}"


@pytest.fixture
async def url(edge: Edge) -> AsyncIterator[str]:
    async with listening(edge) as found:
        yield found


async def failure(edge: Edge, number: int) -> None:
    found = Failure(
        kind=IssueKind.WORKFLOW_FAILED,
        actor=str(addresses.repository(TALLY.id)),
        scope=ScopeId(ORG),
        fingerprint=f"f{number}",
        message=f"failure {number}",
    )
    await edge.world.ask(addresses.organization(ORG), RecordFailure(failure=found))


async def test_a_list_of_tasks_follows_them_from_their_beginning_to_their_end(edge: Edge, url: str):
    edge.github.hold("branch_names")
    async with await edge.browser(ADA) as ada:
        open_list = await opened(ada, f"/organizations/{ORG}")
        archive = await opened(ada, f"/organizations/{ORG}?archived=1")
        async with live(url, ada, open_list) as shown, live(url, ada, archive) as archived:
            await shown.next("clock")
            task = await edge.task(ada)
            assert 'data-into="tasks"' in await shown.until(f'id="task-{task["id"]}"')
            assert (await ada.post(f"/tasks/{task['id']}/archive")).status_code == 303
            await shown.until(f'data-remove="task-{task["id"]}"')
            await archived.until(f'id="task-{task["id"]}"')


async def test_a_page_that_was_away_catches_up_from_what_it_has(edge: Edge, url: str):
    edge.github.hold("branch_names")
    async with await edge.browser(ADA) as ada:
        address = await opened(ada, f"/organizations/{ORG}")
        first = await edge.task(ada, title="The first")
        await edge.held("branch_names")
        await failure(edge, 1)
        async with live(url, ada, address) as shown:
            seen = await shown.until('id="issue-badge"')
            assert f'id="task-{first["id"]}"' in seen
            assert 'id="tasks"' not in seen, "only what was missed"
            have = shown.have
        second = await edge.task(ada, title="The second")
        async with live(url, ada, f"/live/organizations/{ORG}?have={have}") as shown:
            seen = await shown.until(f'id="task-{second["id"]}"')
            assert f'id="task-{first["id"]}"' not in seen


async def test_a_task_page_gets_its_phases_its_session_and_the_sandbox_that_comes_later(edge: Edge, url: str):
    held = edge.github.hold("branch_names")
    async with await edge.browser(ADA) as ada:
        task = await edge.task(ada)
        address = await opened(ada, f"/tasks/{task['id']}")
        assert set(positions(address.partition("have=")[2])) == {"organization", "session", "task"}
        async with live(url, ada, address) as shown:
            held.set()
            seen = await shown.until('id="task-sandbox"')
            for part in ('id="task-head"', 'id="task-phases"', 'id="session-state"', "entry user"):
                if part not in seen:
                    seen += await shown.until(part)
            assert "sandbox" in positions(shown.have)


async def test_the_sandboxs_card_is_the_same_on_the_page_in_the_stream_and_in_the_catch_up(edge: Edge, url: str):
    async with await edge.browser(ADA) as ada:
        made = await edge.task(ada)
        there = f"/api/tasks/{made['id']}"
        task = await edge.until(ada, there, lambda found: found["phase"] in ("sending the prompt", "running"))
        box = addresses.sandbox(task["sandbox"])
        address = await opened(ada, f"/tasks/{task['id']}")
        async with live(url, ada, address) as shown:
            await edge.world.ask(box, DiskSeen(disk=120_000_000))
            assert 'id="task-sandbox"' in await shown.until("120 MB on disk")
            waits = SandboxMoved(state=SandboxState.STOPPED, remove_at=datetime(2031, 1, 1, tzinfo=UTC))
            await edge.world.ask(box, waits)
            streamed = card(await shown.until("will be removed"))
        async with live(url, ada, address) as late:
            caught_up = card(await late.until("will be removed"))
        assert streamed == caught_up == card((await ada.get(f"/tasks/{task['id']}", headers=HTML)).text)


def card(html: str) -> str:
    """The last card about the sandbox in it."""
    found = re.findall(r'<section id="task-sandbox".*?</section>', html, re.DOTALL)
    return re.sub(r"\s+", " ", found[-1])


async def test_the_runtime_issues_page_lists_and_clears(edge: Edge, url: str):
    async with await edge.browser(ADA) as ada:
        address = await opened(ada, f"/organizations/{ORG}/issues")
        async with live(url, ada, address) as shown:
            await failure(edge, 1)
            assert "failure 1" in await shown.until('id="issues-organization"')
            await failure(edge, 2)
            await shown.until("failure 2")
            cleared = await ada.post(f"/organizations/{ORG}/issues/clear", data={"scope": "organization"})
            assert cleared.status_code == 303
            await shown.until("No runtime issues.")
    async with await edge.browser(GRACE) as grace:
        await failure(edge, 3)
        refused = await grace.post(f"/organizations/{ORG}/issues/clear", data={}, headers={"HX-Request": "true"})
        assert refused.status_code == 200
        assert "failure 3" in (await grace.get(f"/organizations/{ORG}/issues", headers=HTML)).text, "not hers to clear"


async def test_losing_access_makes_the_page_leave_and_gaining_write_gives_the_buttons(edge: Edge, url: str):
    edge.github.hold("branch_names")
    async with await edge.browser(GRACE) as grace:
        task = await edge.task(edge.admin())
        address = await opened(grace, f"/tasks/{task['id']}")
        async with live(url, grace, address) as shown:
            await shown.next("clock")
            await edge.gives(GRACE, TALLY, Access.WRITE)
            seen = await shown.until(f"/tasks/{task['id']}/archive")
            if 'id="composer"' not in seen:
                await shown.until('id="composer"')
            await edge.gives(GRACE, TALLY, Access.NONE)
            await shown.next("leave")


async def test_a_page_is_reloaded_for_a_new_name_and_not_for_a_setting(edge: Edge, url: str):
    async with await edge.browser(ADA) as ada:
        address = await opened(ada, f"/organizations/{ORG}/new")
        async with live(url, ada, address) as shown:
            await edge.world.ask(addresses.organization(ORG), SetPublicWork(shown=True))
            await failure(edge, 1)
            await shown.until('id="issue-badge"')  # what is typed into the form is still there
            other = InstallationSummary(id=1, organization=ORG, login="lumen-labs", active=True)
            parent = addresses.organization(ORG)
            renamed = InstallationGranted(parent=parent, scope=ScopeId(ORG), installation=other)
            await edge.world.ask(addresses.github(ORG), renamed)  # type: ignore[arg-type]
            await shown.next("leave")


async def test_signing_out_ends_the_stream(edge: Edge, url: str):
    edge.foundry.access_every = 0.1
    async with await edge.browser(ADA) as ada:
        address = await opened(ada, f"/organizations/{ORG}")
        async with live(url, ada, address) as shown:
            await shown.next("clock")
            assert (await ada.post("/auth/sign-out")).status_code == 204
            await shown.next("leave")


async def test_what_a_page_says_it_has_is_looked_at(edge: Edge):
    async with await edge.browser(ADA) as ada:
        for have in ("organization", "organization:x", ":1", "organization:-1"):
            answer = await ada.get(f"/live/organizations/{ORG}?have={have}")
            assert answer.status_code == 422, have
            assert answer.json()["field"] == "have"
    assert positions(versions({"task": "3", "app": "1-0123abcd"})) == {"task": "3", "app": "1-0123abcd"}
