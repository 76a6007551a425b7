"""Bad input is a clear 4xx that names the field and what to do, and nothing is half done."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2 as httpx
import pytest
import pytest_asyncio

from foundry.contracts.ids import new_id
from tests.api.edge import ORG, Edge
from tests.api.problems import problem

TASKS = f"/api/organizations/{ORG}/tasks"
GOOD: dict[str, Any] = {"repository": "lumen-works/tally", "prompt": "Add a median"}


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def ada(one_edge: Edge) -> AsyncIterator[httpx.AsyncClient]:
    async with one_edge.admin() as client:
        yield client


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"repository": "lumen-works/nothing"}, 422, "unknown_repository", "repository"),
        ({"repository": ""}, 422, "bad_input", "repository"),
        ({"repository": 4001}, 422, "bad_input", "repository"),
        ({"branch": "not..so"}, 422, "bad_input", "branch"),
        ({"branch": "ends.lock"}, 422, "bad_input", "branch"),
        ({"branch": "-x"}, 422, "bad_input", "branch"),
        ({"base": "a b"}, 422, "bad_input", "base"),
        ({"prompt": ""}, 422, "bad_input", "prompt"),
        ({"prompt": "  \n "}, 422, "bad_input", "prompt"),
        ({"prompt": "x" * 100_001}, 422, "bad_input", "prompt"),
        ({"prompt": "x" * 1_000_000}, 422, "bad_input", "prompt"),
        ({"prompt": "nul \0 in it"}, 422, "bad_input", "prompt"),
        ({"prompt": None}, 422, "bad_input", "prompt"),
        ({"title": "t" * 201}, 422, "bad_input", "title"),
        ({"agent": "nobody"}, 422, "unknown_agent", "agent"),
        ({"agent": "../x"}, 422, "bad_input", "agent"),
        ({"auto_publish": "perhaps"}, 422, "bad_input", "auto_publish"),
        ({"colour": "red"}, 422, "bad_input", "colour"),
    ],
)
async def test_a_task_that_cannot_be_is_refused(
    one_edge: Edge, ada: httpx.AsyncClient, change: dict[str, Any], status: int, code: str, field: str
):
    before = await one_edge.tasks()
    found = problem(await ada.post(TASKS, json=GOOD | change), status, code, field)
    assert len(json.dumps(found)) < 1000  # the input does not come back
    assert await one_edge.tasks() == before


async def test_a_prompt_without_a_valid_spelling_is_refused(ada: httpx.AsyncClient):
    body = b'{"repository": "lumen-works/tally", "prompt": "half a pair: \\ud83d"}'
    problem(
        await ada.post(TASKS, content=body, headers={"Content-Type": "application/json"}), 422, "bad_input", "prompt"
    )


@pytest.mark.parametrize("prompt", ["x" * 100_000, "山" * 100_000, "🦉" * 100_000])
async def test_the_longest_prompt_is_taken_however_json_spells_it(one_edge: Edge, ada: httpx.AsyncClient, prompt: str):
    headers = {"Content-Type": "application/json"}
    answer = await ada.post(TASKS, content=json.dumps(GOOD | {"prompt": prompt}).encode(), headers=headers)
    assert answer.status_code == 201
    assert answer.json()["prompt"] == prompt


@pytest.mark.parametrize("body", [b"{", b"", b"nothing", b"\xff\xfe", b"[" * 100_000])
async def test_what_is_no_json_is_said_to_be_none(one_edge: Edge, ada: httpx.AsyncClient, body: bytes):
    answer = await ada.post(TASKS, content=body, headers={"Content-Type": "application/json"})
    if body:
        problem(answer, 400, "bad_json", "body")
    else:
        problem(answer, 422, "bad_input", "body")


async def test_json_of_another_shape_is_refused(ada: httpx.AsyncClient):
    problem(await ada.post(TASKS, json=["a", "list"]), 422, "bad_input", "body")


async def test_another_content_type_is_refused(ada: httpx.AsyncClient):
    problem(await ada.post(TASKS, data=GOOD), 415, "not_json", "Content-Type")


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(ada: httpx.AsyncClient):
    problem(await ada.post(TASKS, json=GOOD | {"prompt": "x" * 3_000_000}), 413, "too_large", "body")


async def test_a_body_of_unknown_length_is_refused_once_it_is_too_large(ada: httpx.AsyncClient):
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 65_536
            yield b" " * 65_536

    problem(await ada.post(TASKS, content=endless()), 413, "too_large", "body")
    assert sent < 4_000_000


async def test_unknown_addresses_and_methods_are_problems_too(ada: httpx.AsyncClient):
    problem(await ada.get("/api/nothing"), 404, "not_found", "path")
    problem(await ada.get("/api/app%00"), 400, "bad_request", "path")
    answer = await ada.patch(TASKS, json={})
    problem(answer, 405, "method_not_allowed", "method")
    assert "POST" in answer.headers["allow"]


def nobody(prefix: str) -> str:
    """An id of the right form that nothing has; always the same, so that a test has one name."""
    return new_id(prefix, now_ms=1, entropy=bytes(10))


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/tasks/tsk_nothing", "task"),
        (f"/api/tasks/{nobody('tsk')}", "task"),
        (f"/api/tasks/{nobody('ses')}", "task"),
        (f"/api/sessions/{nobody('ses')}", "session"),
        ("/api/sessions/x", "session"),
        (f"/api/sandboxes/{nobody('sbx')}", "sandbox"),
        ("/api/organizations/9", "organization"),
        ("/api/organizations/x/tasks", "organization"),
        ("/api/repositories/9", "repository"),
        ("/api/repositories/9/history", "repository"),
        ("/api/actors/Task/none", "key"),
    ],
)
async def test_an_unknown_thing_is_not_found(ada: httpx.AsyncClient, path: str, field: str):
    problem(await ada.get(path), 404, "not_found", field)


@pytest.mark.parametrize("query", ["before=x", "limit=0", "limit=99999", f"before={2**70}"])
async def test_a_page_that_cannot_be_is_refused(ada: httpx.AsyncClient, query: str):
    problem(await ada.get(f"/api/repositories/4001/history?{query}"), 422, "bad_input", query.split("=")[0])


async def test_archiving_twice_is_refused_the_second_time(one_edge: Edge, ada: httpx.AsyncClient):
    task = await one_edge.task(ada)
    assert (await ada.post(f"/api/tasks/{task['id']}/archive", json={"kill": True})).status_code == 200
    again = await ada.post(f"/api/tasks/{task['id']}/archive", json={"kill": True})
    problem(again, 409, "wrong_state", "task")
    for verb in ("retry", "work", "pull-request", "sessions"):
        body = {} if verb == "sessions" else None
        problem(await ada.post(f"/api/tasks/{task['id']}/{verb}", json=body), 409, "wrong_state", "task")


async def test_a_closed_session_takes_no_message(one_edge: Edge, ada: httpx.AsyncClient):
    task = await one_edge.task(ada)
    session = f"/api/sessions/{task['active_session']}"
    await ada.post(f"/api/tasks/{task['id']}/archive", json={"kill": True})
    await one_edge.until(ada, session, lambda found: found["session"]["status"] == "closed")
    problem(await ada.post(f"{session}/messages", json={"text": "Hello?"}), 409, "session_closed", "session")
    problem(await ada.post(f"{session}/stop"), 409, "wrong_state", "session")


async def test_messages_and_answers_that_cannot_be_are_refused(one_edge: Edge, ada: httpx.AsyncClient):
    task = await one_edge.task(ada)
    session = f"/api/sessions/{task['active_session']}"
    await one_edge.until(ada, session, lambda found: True)
    problem(await ada.post(f"{session}/messages", json={"text": " "}), 422, "bad_input", "text")
    problem(await ada.post(f"{session}/messages", json={}), 422, "bad_input", "text")
    problem(await ada.post(f"{session}/messages/msg_x/resend"), 404, "not_found", "message")
    problem(await ada.post(f"{session}/messages/{new_id('msg')}/resend"), 404, "not_found", "message")
    problem(await ada.post(f"{session}/permissions/prm_x", json={"option": "allow"}), 404, "not_found", "permission")
    answer = await ada.post(f"{session}/permissions/{new_id('prm')}", json={"option": "allow"})
    problem(answer, 404, "not_found", "permission")
    problem(await ada.put(f"{session}/read", json={"position": -1}), 422, "bad_input", "position")
    problem(await ada.put(f"{session}/read", json={"position": 2**70}), 422, "bad_input", "position")


async def test_a_forged_webhook_is_refused(one_edge: Edge):
    body = b'{"action": "created", "installation": {"id": 5, "account": {"id": 7, "login": "evil"}}}'
    forged = await one_edge.deliver(body, sign="another secret", event="installation")
    problem(forged, 401, "bad_signature", "X-Hub-Signature-256")
    async with one_edge.client() as client:
        unsigned = await client.post("/api/rivet/app/webhooks/github", json={})
    problem(unsigned, 401, "bad_signature", "X-Hub-Signature-256")
    async with one_edge.admin() as admin:
        problem(await admin.get("/api/actors/GitHubState/7"), 404, "not_found", "key")


async def test_a_webhook_is_taken_once(one_edge: Edge):
    body = b'{"zen": "Keep it logically awesome.", "hook_id": 1}'
    answers = [await one_edge.deliver(body, id="d-7") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert [answer.json()["new"] for answer in answers] == [True, False]


async def test_a_webhook_that_makes_no_sense_is_refused(one_edge: Edge):
    problem(await one_edge.deliver(b"no json"), 422, "bad_input", "body")
    problem(await one_edge.deliver(b"{}", id=""), 422, "bad_input", "X-GitHub-Delivery")
    problem(await one_edge.deliver(b'{"installation": {"id": "x"}}'), 422, "bad_input", "installation.id")


async def test_a_defect_is_said_without_details(one_edge: Edge):
    @one_edge.app.get("/api/broken")
    async def broken() -> None:
        raise RuntimeError("the secret is 4711")

    async with one_edge.admin() as client:
        found = problem(await client.get("/api/broken"), 500, "internal")
    assert "4711" not in json.dumps(found)
    assert "err_" in found["detail"]
