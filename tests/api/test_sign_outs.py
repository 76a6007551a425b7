"""A session or token that ends takes its open streams with it, at once and with the reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import httpx2 as httpx
import pytest

from foundry.contracts import addresses
from foundry.contracts.app_shell import AdminTokenChanged, EndSessions
from foundry.contracts.issues import Failure, IssueKind, RecordFailure
from foundry.contracts.messages import APP
from tests.api.edge import ADA, GRACE, ORG, TALLY, Edge, Watcher, listening, running, watching

LIMIT = 5.0  # seconds until a stream has closed


@pytest.fixture
async def url(edge: Edge) -> AsyncIterator[str]:
    async with listening(edge) as found:
        yield found


async def closed(watcher: Watcher) -> str:
    """The reason with which the stream closes."""
    found = (await watcher.next("closed", limit=LIMIT))[1]
    assert (found["code"], found["status"]) == ("signed_out", 401)
    return found["detail"]


async def sign_out(edge: Edge, ada: httpx.AsyncClient) -> None:
    await ada.post("/auth/sign-out")


async def end_it(edge: Edge, ada: httpx.AsyncClient) -> None:
    async with await edge.browser(ADA, "phone") as phone:
        found = (await phone.get("/api/me/sessions")).json()
        one = next(one["id"] for one in found if not one["current"])
        assert (await phone.delete(f"/api/me/sessions/{one}")).status_code == 204


async def end_all(edge: Edge, ada: httpx.AsyncClient) -> None:
    await ada.delete("/api/me/sessions")


async def revoke(edge: Edge, ada: httpx.AsyncClient) -> None:
    message = EndSessions(user=ADA.id, reason="GitHub revoked Foundry's access to your account")
    await edge.world.say(message, to=addresses.app_shell())


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (sign_out, "you signed out in this browser"),
        (end_it, "you ended this session from another one"),
        (end_all, "you signed out everywhere"),
        (revoke, "GitHub revoked Foundry's access to your account"),
    ],
)
async def test_however_a_session_ends_its_stream_closes_and_says_why(
    edge: Edge, url: str, end: Callable[[Edge, httpx.AsyncClient], Awaitable[None]], reason: str
):
    async with await edge.browser(ADA) as ada, watching(url, ada, "organization", ORG) as watcher:
        await watcher.next("snapshot")
        await end(edge, ada)
        assert await closed(watcher) == f"You were signed out: {reason}."


async def test_a_session_that_nobody_uses_closes_its_stream_when_it_expires(tmp_path: Path):
    async with (
        running(tmp_path, session_idle=timedelta(seconds=1)) as edge,
        listening(edge) as url,
        await edge.browser(ADA) as ada,
        watching(url, ada, "app") as watcher,
    ):
        await watcher.next("snapshot")
        assert await closed(watcher) == "You were signed out: nobody used this session for too long."


async def test_streams_of_every_topic_close(edge: Edge, url: str):
    async with await edge.browser(ADA) as ada:
        task = await edge.task(ada)
        ready = await edge.until(ada, f"/api/tasks/{task['id']}", lambda found: found["state"] == "ready")
        topics = {
            "app": "", "organization": ORG, "pull_requests": ORG, "repository": TALLY.id,
            "task": task["id"], "session": ready["active_session"], "sandbox": ready["sandbox"],
        }  # fmt: skip
        for topic, id in topics.items():
            async with await edge.browser(ADA, topic) as other, watching(url, other, topic, id) as watcher:
                await watcher.next("snapshot")
                await sign_out(edge, other)
                assert "signed out" in await closed(watcher)


async def test_a_revoked_token_closes_the_programs_stream(edge: Edge, url: str):
    async with await edge.token(ADA, "read") as program, watching(url, program, "app") as watcher:
        await watcher.next("snapshot")
        assert (await program.delete("/api/me/tokens/current")).status_code == 204
        assert await closed(watcher) == "This API token has ended: it was revoked."


async def test_streams_of_others_and_of_the_persons_other_sessions_go_on_and_are_told_nothing(edge: Edge, url: str):
    async with (
        await edge.browser(ADA) as laptop,
        await edge.browser(ADA, "phone") as phone,
        await edge.browser(GRACE) as grace,
        watching(url, phone, "app") as same,
        watching(url, grace, "app") as other,
    ):
        for watcher in (same, other):
            await watcher.next("snapshot")
        await sign_out(edge, laptop)
        failure = Failure(
            kind=IssueKind.WORKFLOW_FAILED, actor=str(addresses.app_shell()), scope=APP, fingerprint="f", message="x"
        )
        await edge.world.ask(addresses.app_shell(), RecordFailure(failure=failure))
        for watcher in (same, other):
            assert (await watcher.next())[0] == "IssuesChanged"  # the next event of any name


async def test_a_stream_is_refused_to_a_session_that_has_ended(edge: Edge, url: str):
    async with await edge.browser(ADA) as ada:
        await sign_out(edge, ada)
        assert (await ada.get("/api/realtime?topic=app")).json()["code"] == "signed_out"


async def test_a_new_admin_token_closes_the_streams_of_the_old_one(edge: Edge, url: str):
    async with edge.admin() as admin, watching(url, admin, "app") as watcher:
        await watcher.next("snapshot")
        edge.foundry.admin_token = lambda: "another"
        await edge.world.ask(addresses.app_shell(), AdminTokenChanged())
        assert (await watcher.next("closed", limit=LIMIT))[1]["code"] == "not_signed_in"
