"""What an API token may do follows from its scopes, on every route that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute

from foundry import web
from foundry.api.scopes import SAFE, Need, needed
from tests.api.edge import ADA, TALLY, Edge
from tests.api.problems import problem

NOBODY = {  # changing routes that ask no person: GitHub's webhook, the ends of a sign-in
    ("POST", "/api/rivet/app/webhooks/github"),
    ("POST", "/auth/sign-out"),
    ("POST", "/api/login/device"),
    ("POST", "/api/login/device/token"),
}
OWN = ("DELETE", "/api/me/tokens/current")  # a token may revoke itself


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Every method and path of the app."""
    for route in _flat(app.routes):
        for method in sorted(getattr(route, "methods", None) or ()):
            yield method, route.path


def _flat(found: list[BaseRoute]) -> Iterator[BaseRoute]:
    for route in found:
        inner = getattr(getattr(route, "original_router", None), "routes", None)
        yield from _flat(inner) if inner else [route]


def changing(app: FastAPI) -> list[tuple[str, str]]:
    return [one for one in routes(app) if one[0] not in SAFE and one not in NOBODY]


async def test_a_token_that_only_reads_is_refused_for_every_change(edge: Edge):
    web.install(edge.app)
    found = [one for one in changing(edge.app) if one != OWN]
    assert len(found) > 60
    async with await edge.token(ADA, "read") as reader:
        for method, path in found:
            answer = await reader.request(method, re.sub(r"\{\w+\}", "x", path), headers={"Accept": "application/json"})
            code = answer.json()["code"]
            assert (answer.status_code, code in ("scope_missing", "browser_needed", "admin_only")) == (403, True), (
                f"{method} {path}: {answer.status_code} {answer.text}"
            )


async def test_a_token_that_only_approves_is_refused_for_every_read_and_other_change(edge: Edge):
    web.install(edge.app)
    async with await edge.token(ADA, "approve") as approver:
        found = changing(edge.app)
        assert len(found) > 60
        for method, path in found:
            if needed(method, path) in (Need.APPROVE, Need.NOTHING):
                continue
            answer = await approver.request(method, re.sub(r"\{\w+\}", "x", path), headers={"Accept": "*/*"})
            assert answer.status_code == 403, f"{method} {path}: {answer.text}"
        for path in ("/api/app", f"/api/repositories/{TALLY.id}", "/api/me/tokens", "/api/realtime?topic=app"):
            problem(await approver.get(path), 403, "scope_missing", "Authorization")


async def test_the_refusal_names_the_scope(edge: Edge):
    async with await edge.token(ADA, "read") as reader, await edge.token(ADA, "write", name="w") as writer:
        found = problem(await reader.delete("/api/app/issues"), 403, "scope_missing", "Authorization")
        assert found["detail"] == "this needs an API token with the scope write"
        answer = await writer.post("/api/sessions/ses_x/permissions/prm_x", json={"option": "allow"})
        assert "the scope approve" in problem(answer, 403, "scope_missing", "Authorization")["detail"]


async def test_writing_includes_reading_and_does_what_its_person_may(edge: Edge):
    async with await edge.token(ADA, "write") as writer:
        task = await edge.task(writer)
        assert (await writer.get(f"/api/tasks/{task['id']}")).json()["created_by"]["login"] == "ada"


async def test_permissions_are_answered_with_approve_alone(edge: Edge):
    async with await edge.token(ADA, "write") as writer, await edge.token(ADA, "approve", name="a") as approver:
        task = await edge.task(writer)
        path = f"/api/sessions/{task['active_session']}/permissions/prm_x"
        problem(await writer.post(path, json={"option": "allow"}), 403, "scope_missing", "Authorization")
        problem(await approver.post(path, json={"option": "allow"}), 404, "not_found", "permission")


@pytest.mark.parametrize(
    ("method", "path", "need"),
    [
        ("GET", "/api/me/sessions", Need.READ),
        ("HEAD", "/tasks/{task}", Need.READ),
        ("POST", "/api/tasks/{task}/archive", Need.WRITE),
        ("POST", "/something/new", Need.WRITE),
        ("POST", "/sessions/{session}/permissions/{permission}", Need.APPROVE),
        ("POST", "/api/me/tokens", Need.BROWSER),
        ("DELETE", "/api/me/sessions/{session}", Need.BROWSER),
        ("POST", "/settings/tokens", Need.BROWSER),
        ("POST", "/login/device", Need.BROWSER),
        ("DELETE", "/api/me/tokens/current", Need.NOTHING),
    ],
)
def test_what_a_request_needs_follows_from_its_method_and_route(method: str, path: str, need: Need):
    assert needed(method, path) is need


async def test_the_admin_token_does_not_manage_sessions_and_tokens(edge: Edge):
    async with edge.admin() as admin:
        assert (await admin.get("/api/me/tokens")).json() == []
        wish = {"name": "mine", "scopes": ["read"]}
        problem(await admin.post("/api/me/tokens", json=wish), 403, "browser_needed", "Authorization")
        problem(await admin.delete("/api/me/sessions"), 403, "browser_needed", "Authorization")


async def test_a_token_creates_no_token_and_ends_no_session(edge: Edge):
    async with await edge.token(ADA, "read", "write", "approve") as program:
        wish = {"name": "another", "scopes": ["read"]}
        problem(await program.post("/api/me/tokens", json=wish), 403, "browser_needed", "Authorization")
        found = (await program.get("/api/me/sessions")).json()
        problem(await program.delete(f"/api/me/sessions/{found[0]['id']}"), 403, "browser_needed", "Authorization")
        mine = (await program.get("/api/me/tokens")).json()[0]["id"]
        problem(await program.delete(f"/api/me/tokens/{mine}"), 403, "browser_needed", "Authorization")
        answer = {"user_code": "BCDF-GHJK", "approve": True}
        problem(await program.post("/api/login/device/answer", json=answer), 403, "browser_needed", "Authorization")
