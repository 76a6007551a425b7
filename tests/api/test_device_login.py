"""A command line signs in: its person approves in a browser (RFC 8628)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from sqlalchemy import select, update

from foundry.actors.app_shell.tables import app_device_logins
from foundry.runtime.store.migrate import engine_of
from tests.api.edge import ADA, GRACE, Edge, running
from tests.api.problems import problem

POLL = "/api/login/device/token"
ANSWER = "/api/login/device/answer"


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with running(tmp_path, device_interval=0.0) as found:
        yield found


async def begin(line: httpx.AsyncClient, **wish: Any) -> dict[str, Any]:
    answer = await line.post("/api/login/device", json={"device_name": "ada's laptop", **wish})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def poll(line: httpx.AsyncClient, begun: dict[str, Any]) -> httpx.Response:
    return await line.post(POLL, json={"device_code": begun["device_code"]})


async def test_a_command_line_gets_a_token_once_its_person_approves(edge: Edge):
    async with edge.client() as line, await edge.browser(ADA) as ada:
        begun = await begin(line, scopes=["read", "approve"])
        assert begun["expires_in"] == 900
        assert begun["verification_uri"] == "http://foundry.test/login/device"
        assert begun["verification_uri_complete"].endswith(f"?user_code={begun['user_code']}")
        problem(await poll(line, begun), 400, "authorization_pending", "device_code")
        assert (await ada.post(ANSWER, json={"user_code": begun["user_code"], "approve": True})).status_code == 204
        got = await poll(line, begun)
        assert got.status_code == 200
        assert got.headers["cache-control"] == "no-store"
        line.headers["Authorization"] = f"Bearer {got.json()['access_token']}"
        assert (await line.get("/api/app")).json()["person"]["login"] == "ada"
        (one,) = (await ada.get("/api/me/tokens")).json()
        assert (one["name"], one["scopes"]) == ("ada's laptop", ["read", "approve"])
        assert one["expires_at"]


async def test_a_code_is_used_once(edge: Edge):
    async with edge.client() as line, await edge.browser(ADA) as ada:
        begun = await begin(line)
        approve = {"user_code": begun["user_code"], "approve": True}
        assert (await ada.post(ANSWER, json=approve)).status_code == 204
        problem(await ada.post(ANSWER, json=approve), 404, "not_found", "user_code")
        assert (await poll(line, begun)).status_code == 200
        problem(await poll(line, begun), 400, "expired_token", "device_code")


async def test_a_denied_login_gets_nothing(edge: Edge):
    async with edge.client() as line, await edge.browser(ADA) as ada:
        begun = await begin(line)
        assert (await ada.post(ANSWER, json={"user_code": begun["user_code"], "approve": False})).status_code == 204
        problem(await poll(line, begun), 400, "access_denied", "device_code")
        problem(await poll(line, begun), 400, "expired_token", "device_code")
        assert (await ada.get("/api/me/tokens")).json() == []


async def test_who_polls_too_often_is_told_to_slow_down(tmp_path: Path):
    async with running(tmp_path, device_interval=5.0) as edge, edge.client() as line:
        begun = await begin(line)
        assert begun["interval"] == 5.0
        problem(await poll(line, begun), 400, "authorization_pending", "device_code")
        problem(await poll(line, begun), 400, "slow_down", "device_code")
        interval = await edge.runtime.read(lambda reader: reader.one(select(app_device_logins)).interval)
        assert interval == 10.0


async def test_a_code_expires_after_fifteen_minutes(edge: Edge, tmp_path: Path):
    async with edge.client() as line, await edge.browser(ADA) as ada:
        begun = await begin(line)
        engine = engine_of(f"sqlite:///{tmp_path}/foundry.db")
        with engine.begin() as connection:
            connection.execute(update(app_device_logins).values(expires_at=1))
        engine.dispose()
        answer = await ada.post(ANSWER, json={"user_code": begun["user_code"], "approve": True})
        problem(answer, 404, "not_found", "user_code")
        problem(await poll(line, begun), 400, "expired_token", "device_code")


async def test_codes_are_stored_as_hashes(edge: Edge):
    async with edge.client() as line:
        begun = await begin(line)
        stored = str(await edge.runtime.read(lambda reader: reader.all(select(app_device_logins))))
        assert begun["device_code"] not in stored
        assert begun["user_code"] not in stored
        assert begun["user_code"].replace("-", "") not in stored


@pytest.mark.parametrize("typed", [str.lower, lambda code: code.replace("-", ""), lambda code: f" {code} "])
async def test_a_code_may_be_typed_as_people_do(edge: Edge, typed: Any):
    async with edge.client() as line, await edge.browser(ADA) as ada:
        begun = await begin(line)
        wish = {"user_code": typed(begun["user_code"]), "approve": True}
        assert (await ada.post(ANSWER, json=wish)).status_code == 204


async def test_a_person_may_guess_ten_codes(edge: Edge):
    async with edge.client() as line, await edge.browser(ADA) as ada, await edge.browser(GRACE) as grace:
        begun = await begin(line)
        for _ in range(10):
            wrong = {"user_code": "BCDF-GHJK", "approve": True}
            problem(await ada.post(ANSWER, json=wrong), 404, "not_found", "user_code")
        right = {"user_code": begun["user_code"], "approve": True}
        problem(await ada.post(ANSWER, json=right), 429, "too_many_attempts", "user_code")
        assert (await grace.post(ANSWER, json=right)).status_code == 204
        edge.later = timedelta(minutes=16)
        problem(await ada.post(ANSWER, json=wrong), 404, "not_found", "user_code")


async def test_one_address_begins_twenty_logins_at_once(edge: Edge):
    async with edge.client() as line:
        for _ in range(20):
            await begin(line)
        problem(await line.post("/api/login/device", json={}), 429, "too_many_attempts")


async def test_who_is_not_signed_in_approves_nothing(edge: Edge):
    async with edge.client() as line:
        begun = await begin(line)
        wish = {"user_code": begun["user_code"], "approve": True}
        problem(await line.post(ANSWER, json=wish), 401, "not_signed_in", "Authorization")


async def test_an_unknown_device_code_gets_nothing(edge: Edge):
    async with edge.client() as line:
        problem(await line.post(POLL, json={"device_code": "guessed"}), 400, "expired_token", "device_code")
