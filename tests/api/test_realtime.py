"""A topic as server-sent events: a snapshot, then every event; what was missed is caught up with."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from foundry.api.access_table import TOPICS
from foundry.api.context import COOKIE
from foundry.contracts import addresses
from foundry.contracts.github_access import ReachChanged
from foundry.contracts.github_state import SyncInstallations, delivery
from foundry.contracts.issues import Failure, IssueKind, RecordFailure
from foundry.contracts.messages import ScopeId
from foundry.contracts.organization import SetPublicWork
from foundry.contracts.people import Access
from foundry.contracts.repository import RepositorySeen
from tests.api.edge import ADA, BOB, GRACE, ORG, SITE, TALLY, Edge, listening, watching
from tests.api.problems import problem
from tests.waiting import eventually


@pytest.fixture
async def url(edge: Edge) -> AsyncIterator[str]:
    async with listening(edge) as found:
        yield found


async def failure(edge: Edge, actor: str, number: int) -> None:
    found = Failure(
        kind=IssueKind.WORKFLOW_FAILED, actor=actor, scope=ScopeId(ORG), fingerprint=f"f{number}", message="no"
    )
    await edge.world.ask(addresses.organization(ORG), RecordFailure(failure=found))


async def test_a_snapshot_and_the_events_after_it_are_a_fresh_snapshot(edge: Edge, url: str):
    held = edge.github.hold("branch_names")
    async with edge.admin() as ada:
        task = await edge.task(ada)
        async with watching(url, ada, "task", task["id"]) as watcher:
            name, first = await watcher.next()
            assert name == "snapshot"
            assert watcher.id == str(first["version"])
            assert first["task"]["phase"] == "naming"
            held.set()
            shown: dict[str, Any] = first["task"]
            while shown["phase"] != "running":
                name, event = await watcher.next()
                assert name == "TaskChanged"
                shown = event["task"]
            async with watching(url, ada, "task", task["id"]) as other:
                fresh = (await other.next("snapshot"))[1]
            while int(watcher.id) < fresh["version"]:
                shown = (await watcher.next("TaskChanged"))[1]["task"]
            assert int(watcher.id) == fresh["version"]
            assert fresh["task"] == shown


async def test_what_was_missed_is_caught_up_with(edge: Edge, url: str):
    async with edge.admin() as ada:
        task = await edge.task(ada)
        path = f"/api/tasks/{task['id']}"
        await edge.until(ada, path, lambda found: found["phase"] == "running")
        async with watching(url, ada, "task", task["id"], after="2") as watcher:
            name, _ = await watcher.next()
            assert (name, watcher.id) == ("TaskChanged", "3")
        async with edge.client() as nobody:
            nobody.headers = {**ada.headers, "Last-Event-ID": "3"}  # type: ignore[assignment]
            async with watching(url, nobody, "task", task["id"], after="1") as watcher:
                await watcher.next()
                assert watcher.id == "4"  # the header is the newer word
        async with watching(url, ada, "task", task["id"], after="999999") as watcher:
            assert (await watcher.next())[0] == "snapshot"  # of another life of this database


async def test_what_was_purged_gives_a_fresh_snapshot(edge: Edge, url: str):
    async with edge.admin() as ada:
        task = await edge.task(ada)
        await edge.until(ada, f"/api/tasks/{task['id']}", lambda found: found["phase"] == "running")
        address = addresses.task(task["id"])
        await edge.runtime.system(
            address, lambda tx: tx.execute("DELETE FROM events WHERE actor = ? AND version <= 4", str(address))
        )
        async with watching(url, ada, "task", task["id"], after="2") as watcher:
            assert (await watcher.next())[0] == "snapshot"
        async with watching(url, ada, "task", task["id"], after="4") as watcher:
            assert (await watcher.next())[0] == "TaskChanged"


async def test_a_transcript_streams(edge: Edge, url: str):
    async with edge.admin() as ada:
        task = await edge.task(ada)
        session = task["active_session"]
        await edge.until(ada, f"/api/tasks/{task['id']}", lambda found: found["activity"] == "running")
        async with watching(url, ada, "session", session) as watcher:
            first = (await watcher.next("snapshot"))[1]
            assert [entry["text"] for entry in first["transcript"]] == ["Add a median"]
            assert first["mine"]["draft"] == ""
            server, _ = (await eventually(lambda: edge.github.prompts))[0]
            chunk = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "Well, "}}
            update = {"method": "session/update", "params": {"sessionId": f"agent-{server}", "update": chunk}}
            edge.github.says(server, update)
            _, delta = await watcher.next("MessageDelta")
            assert (delta["offset"], delta["text"], delta["kind"]) == (0, "Well, ", "agent")
            edge.github.end_turn()
            while True:
                _, event = await watcher.next("EntryChanged")
                if event["entry"]["kind"] == "agent":
                    break
            assert event["entry"]["text"] == "Well, "
            assert event["entry"]["complete"] is True


async def test_a_draft_goes_to_its_person_alone(edge: Edge, url: str):
    async with edge.admin("ada") as ada, edge.admin("grace") as grace:
        session = (await edge.task(ada))["active_session"]
        path = f"/api/sessions/{session}"
        await edge.until(ada, path, bool)
        async with watching(url, ada, "session", session) as hers, watching(url, grace, "session", session) as other:
            await hers.next("snapshot")
            await other.next("snapshot")
            assert (await ada.put(f"{path}/draft", json={"text": "Perhaps"})).status_code == 204
            assert (await ada.post(f"{path}/messages", json={"text": "Also"})).status_code == 201
            assert (await hers.next("PersonalChanged"))[1]["draft"] == "Perhaps"
            while True:
                name, event = await other.next()
                assert name != "PersonalChanged"
                if name == "SessionChanged" and any(m["text"] == "Also" for m in event["session"]["messages"]):
                    break
        assert (await ada.get(f"{path}/draft")).json()["draft"] == ""
        assert (await grace.get(f"{path}/draft")).json()["draft"] == ""


async def test_an_organization_shows_what_a_person_may_read(edge: Edge, url: str):
    edge.github.rights[(BOB.id, SITE.id)] = Access.READ
    async with edge.admin("ada") as ada, edge.admin("bob") as bob:
        async with watching(url, bob, "organization", ORG) as watcher:
            first = (await watcher.next("snapshot"))[1]
            assert [one["name"] for one in first["repositories"]] == ["site"]
            hidden = await edge.task(ada, repository=TALLY.full_name)
            await edge.until(ada, f"/api/organizations/{ORG}/tasks", bool)
            await failure(edge, f"Task:{hidden['id']}", 1)
            open_ = await edge.task(ada, repository=SITE.full_name)
            _, event = await watcher.next("IssuesChanged")
            assert event["issues"] == []
            _, event = await watcher.next("TaskListed")
            assert event["task"]["id"] == open_["id"]
            mark = watcher.id
        async with watching(url, bob, "organization", ORG, after=mark) as watcher:
            assert (await watcher.next())[0] != "snapshot"
        async with watching(url, ada, "organization", ORG, after=mark) as watcher:
            name, whole = await watcher.next()  # she sees more than he did: his position is not hers
            assert name == "snapshot"
            assert {one["id"] for one in whole["tasks"]} == {hidden["id"], open_["id"]}
            assert len(whole["issues"]) == 1


async def test_a_changed_installation_is_told_to_those_who_may_see_its_organization(edge: Edge, url: str):
    async with edge.admin() as ada, watching(url, ada, "app") as watcher:
        await watcher.next("snapshot")
        await edge.world.ask(addresses.github_app(), SyncInstallations())
        for number, (organization, login) in enumerate(((9009, "elsewhere"), (int(ORG), "lumen-works"))):
            about = {"id": 50 + number, "account": {"id": organization, "login": login}}
            body = json.dumps({"action": "created", "installation": about}).encode()
            await edge.world.ask(addresses.github_app(), delivery(f"d{number}", "installation", body))
        _, event = await watcher.next("InstallationsChanged")
        assert [one["login"] for one in event["installations"]] == ["lumen-works"]


async def test_a_new_organization_is_told_to_those_who_may_see_it(edge: Edge, url: str):
    """Once it is listed: the installation is known before, and a look at that moment would not find it."""
    async with edge.admin() as ada, watching(url, ada, "app") as watcher:
        first = (await watcher.next("snapshot"))[1]
        assert [one["login"] for one in first["organizations"]] == ["lumen-works"]
        about = {"id": 60, "account": {"id": int(ADA.id), "login": "ada", "type": "User"}}
        body = json.dumps({"action": "created", "installation": about}).encode()
        await edge.world.ask(addresses.github_app(), delivery("d60", "installation", body))
        again = (await watcher.next("snapshot"))[1]
        assert [one["login"] for one in again["organizations"]] == ["ada", "lumen-works"]


async def test_a_renamed_repository_is_told_to_its_watchers(edge: Edge, url: str):
    async with edge.admin() as ada, watching(url, ada, "repository", TALLY.id) as watcher:
        await watcher.next("snapshot")
        renamed = TALLY.model_copy(update={"name": "sums"})
        seen = RepositorySeen(parent=addresses.organization(ORG), scope=ScopeId(ORG), repository=renamed)
        await edge.world.say(seen, to=addresses.repository(TALLY.id))
        _, event = await watcher.next("RepositoryChanged")
        assert event["ref"]["name"] == "sums"


async def test_every_topic_has_a_snapshot(edge: Edge, url: str):
    async with edge.admin() as ada:
        task = await edge.task(ada)
        await edge.until(ada, f"/api/sandboxes/{task['sandbox']}", bool)
        topics = {
            "app": "", "organization": ORG, "pull_requests": ORG, "repository": TALLY.id, "task": task["id"],
            "session": task["active_session"], "sandbox": task["sandbox"],
        }  # fmt: skip
        assert set(topics) == set(TOPICS)
        for topic, id in topics.items():
            async with watching(url, ada, topic, id) as watcher:
                assert (await watcher.next())[0] == "snapshot"


async def test_losing_access_closes_the_stream(edge: Edge, url: str):
    async with edge.admin("grace") as grace, edge.admin("ada") as ada:
        task = await edge.task(ada)
        async with watching(url, grace, "task", task["id"]) as watcher:
            await watcher.next("snapshot")
            await edge.gives(GRACE, TALLY, Access.NONE)
            await edge.until(grace, f"/api/organizations/{ORG}", bool)
            _, event = await watcher.next("closed")
            assert event["code"] == "not_found"


async def test_somebody_who_saw_public_work_alone_and_reaches_the_organization_now_sees_more(edge: Edge, url: str):
    """That they reach it is told after the right itself, by another actor."""
    await edge.world.ask(addresses.organization(ORG), SetPublicWork(shown=True))
    async with edge.admin("bob") as bob, watching(url, bob, "organization", ORG) as watcher:
        begun = (await watcher.next("snapshot"))[1]
        assert [one["name"] for one in begun["repositories"]] == ["site"]
        edge.github.rights[(BOB.id, TALLY.id)] = Access.READ
        await edge.world.say(ReachChanged(person=BOB.id), to=addresses.github_app())
        now = (await watcher.next("snapshot"))[1]
        assert [one["name"] for one in now["repositories"]] == ["site", "tally"]


async def test_gaining_access_gives_a_fresh_snapshot(edge: Edge, url: str):
    edge.github.rights[(BOB.id, SITE.id)] = Access.READ
    async with edge.admin("bob") as bob, edge.admin("ada") as ada:
        task = await edge.task(ada, repository=TALLY.full_name)
        await edge.until(ada, f"/api/organizations/{ORG}/tasks", bool)
        async with watching(url, bob, "organization", ORG) as watcher:
            assert (await watcher.next("snapshot"))[1]["tasks"] == []
            await edge.gives(BOB, TALLY, Access.READ)
            await watcher.next("resync")
            _, fresh = await watcher.next("snapshot")
            assert [one["id"] for one in fresh["tasks"]] == [task["id"]]


async def test_access_is_checked_again_while_streaming(edge: Edge, url: str):
    edge.foundry.access_every = 0.1
    browser = await edge.browser(ADA)
    async with edge.admin() as admin:
        task = await edge.task(admin)
    async with browser, watching(url, browser, "task", task["id"]) as watcher:
        await watcher.next("snapshot")
        assert browser.cookies[COOKIE]
        assert (await browser.post("/auth/sign-out")).status_code == 204
        assert (await watcher.next("closed"))[1]["code"] == "signed_out"


async def test_a_quiet_stream_says_that_it_lives(edge: Edge, url: str):
    edge.foundry.keep_alive = 0.05
    async with edge.admin() as ada, watching(url, ada, "app") as watcher:
        await watcher.next("snapshot")
        async with asyncio.timeout(5):
            async for line in watcher._lines:
                if line == ": still here":
                    break


async def test_a_server_that_stops_ends_its_streams(edge: Edge, url: str):
    async with edge.admin() as ada, watching(url, ada, "app") as watcher:
        await watcher.next("snapshot")
        edge.foundry.close_streams()
        async with asyncio.timeout(5):
            async for _ in watcher._lines:
                pass
        problem(await ada.get("/readyz"), 503, "not_ready")


async def test_a_topic_that_is_none_is_refused(edge: Edge):
    async with edge.admin() as ada:
        problem(await ada.get("/api/realtime?topic=weather"), 422, "bad_input", "topic")
        problem(await ada.get("/api/realtime"), 422, "bad_input", "topic")
        problem(await ada.get("/api/realtime?topic=task&id=x"), 404, "not_found", "task")
        problem(await ada.get("/api/realtime?topic=app&after=-1"), 422, "bad_input", "after")
        problem(await ada.get("/api/realtime?topic=organization&id=77"), 404, "not_found", "organization")


async def test_a_stream_of_public_work_closes_at_once_when_the_organization_hides_it(edge: Edge):
    async with edge.admin("ada") as ada, edge.admin("bob") as bob, listening(edge) as url:
        task = await edge.task(ada, repository=SITE.full_name)
        await edge.world.ask(addresses.organization(ORG), SetPublicWork(shown=True))
        async with watching(url, bob, "task", task["id"]) as watcher:
            await watcher.next("snapshot")
            await edge.world.ask(addresses.organization(ORG), SetPublicWork(shown=False))
            _, why = await watcher.next("closed", limit=5.0)
            assert why["code"] == "not_found"
