"""The audit log: who did what, how, as whom and from where."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from foundry.api.admin_token import AdminTokenFile, write_token
from foundry.api.audit import record_rotation
from foundry.contracts.sign_in import SignInPolicy
from foundry.runtime.store.migrate import engine_of
from tests.api.edge import ADA, BOB, ORG, Edge, running
from tests.api.problems import problem
from tests.api.test_signing_in import sign_in


async def audit(edge: Edge, **params: Any) -> list[dict[str, Any]]:
    """The lines, the latest first."""
    async with edge.admin(None) as admin:
        answer = await admin.get("/api/app/audit", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


async def test_a_sign_in_and_a_sign_out_are_recorded(edge: Edge):
    edge.foundry.sign_in_policy = SignInPolicy(logins=["bob"])
    async with edge.client(**{"User-Agent": "curl/8", "Origin": "http://foundry.test"}) as browser:
        await sign_in(browser)
        await browser.post("/auth/sign-out")
    out, into = (await audit(edge))[:2]
    assert (into["what"], into["kind"], into["person"], into["login"]) == ("sign-in", "browser", BOB.id, "bob")
    assert (into["detail"], into["address"]) == ("curl/8", "127.0.0.1")
    assert out["what"] == "sign-out"


async def test_a_change_with_the_admin_token_is_recorded_as_done_as_somebody(edge: Edge):
    async with edge.admin("Ada") as admin:
        task = await edge.task(admin)
        await admin.get(f"/api/tasks/{task['id']}")
    (one,) = await audit(edge)
    assert (one["kind"], one["what"], one["person"], one["login"]) == ("admin", "request", ADA.id, "ada")
    assert (one["method"], one["path"]) == ("POST", f"/api/organizations/{ORG}/tasks")
    assert one["address"] == "127.0.0.1"


@pytest.mark.parametrize(("login", "recorded"), [("nobody", "nobody"), (None, "")])
async def test_what_is_refused_is_recorded_too(edge: Edge, login: str | None, recorded: str):
    async with edge.admin(login) as admin:
        assert (await admin.delete("/api/app/issues")).status_code == 422
    (one,) = await audit(edge)
    assert (one["person"], one["login"], one["path"]) == (None, recorded, "/api/app/issues")


async def test_changes_of_people_and_wrong_tokens_are_not_the_admins(edge: Edge):
    async with await edge.browser(ADA) as ada, edge.client(Authorization="Bearer guessed") as stranger:
        assert (await ada.delete(f"/api/organizations/{ORG}/issues")).status_code == 200
        problem(await stranger.delete(f"/api/organizations/{ORG}/issues"), 401, "not_signed_in", "Authorization")
    assert [one["what"] for one in await audit(edge)] == ["sign-in"]


async def test_a_change_that_cannot_be_recorded_is_not_made(edge: Edge, tmp_path: Path):
    engine = engine_of(f"sqlite:///{tmp_path}/foundry.db")
    with engine.begin() as connection:
        full = "CREATE TRIGGER full BEFORE INSERT ON app_audit BEGIN SELECT RAISE(ABORT, 'no space'); END"
        connection.exec_driver_sql(full)
    engine.dispose()
    async with edge.admin() as admin:
        wish = {"repository": "lumen-works/tally", "prompt": "Add a median"}
        assert (await admin.post(f"/api/organizations/{ORG}/tasks", json=wish)).status_code == 500
    assert await edge.tasks() == 0


async def test_tokens_and_logins_are_recorded(edge: Edge):
    async with await edge.token(ADA, "read") as program, await edge.browser(ADA) as ada, edge.client() as line:
        await program.delete("/api/me/tokens/current")
        begun = (await line.post("/api/login/device", json={"device_name": "a laptop"})).json()
        await ada.post("/api/login/device/answer", json={"user_code": begun["user_code"], "approve": True})
        await line.post("/api/login/device/token", json={"device_code": begun["device_code"]})
        await edge.foundry.settled()
    found = [(one["what"], one["kind"], one["detail"]) for one in reversed(await audit(edge))]
    told = [one for one in found if one[0] not in ("sign-in", "token used for the first time")]
    assert told == [
        ("token created", "browser", "a program (read)"),
        ("token revoked", "token", "a program: it was revoked"),
        ("login approved", "browser", "a laptop"),
        ("token created", "token", "a laptop (read, write)"),
    ]


async def test_the_log_is_read_page_by_page(edge: Edge):
    async with edge.admin() as admin:
        for _ in range(5):
            await admin.delete("/api/app/issues")
    whole = [one["id"] for one in await audit(edge)]
    assert len(whole) == 5
    assert [one["id"] for one in await audit(edge, limit=2)] == whole[:2]
    assert [one["id"] for one in await audit(edge, before=whole[1])] == whole[2:]


async def test_the_log_is_for_the_admin_token(edge: Edge):
    async with await edge.browser(ADA) as ada, await edge.token(ADA, "write") as program:
        problem(await ada.get("/api/app/audit"), 403, "admin_only", "Authorization")
        problem(await program.get("/api/app/audit"), 403, "admin_only", "Authorization")


# the admin token, in its file


@pytest.fixture
async def rotated(tmp_path: Path) -> AsyncIterator[tuple[Edge, Path]]:
    """A server that reads its admin token from a file."""
    async with running(tmp_path) as edge:
        edge.foundry.admin_token = AdminTokenFile(tmp_path, lambda: record_rotation(edge.foundry))
        edge.foundry.admin_token()
        yield edge, tmp_path / "admin.token"


async def test_a_running_server_takes_the_new_token_and_refuses_the_old_one_at_once(rotated: tuple[Edge, Path]):
    edge, path = rotated
    old = path.read_text()
    async with edge.client(Authorization=f"Bearer {old}") as admin:
        assert (await admin.get("/api/actors")).status_code == 200
        write_token(path.parent)
        problem(await admin.get("/api/actors"), 401, "not_signed_in", "Authorization")
        admin.headers["Authorization"] = f"Bearer {path.read_text()}"
        assert (await admin.get("/api/actors")).status_code == 200
        await edge.foundry.settled()
        assert [one["what"] for one in (await admin.get("/api/app/audit")).json()] == ["admin token rotated"]
    assert path.read_text() != old
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert [one.name for one in path.parent.glob(".admin*")] == []


async def test_a_token_file_that_is_gone_turns_the_admin_token_off(rotated: tuple[Edge, Path]):
    edge, path = rotated
    old = path.read_text()
    path.unlink()
    async with edge.client(Authorization=f"Bearer {old}") as admin, edge.client(Authorization="Bearer ") as empty:
        for one in (admin, empty):
            problem(await one.get("/api/actors"), 401, "not_signed_in", "Authorization")


def test_a_replaced_token_is_noticed_once(tmp_path: Path):
    noticed: list[str] = []
    token = AdminTokenFile(tmp_path, lambda: noticed.append("changed"))
    first = token()
    assert (token(), noticed) == (first, [])
    write_token(tmp_path)
    assert token() != first
    assert token() == (tmp_path / "admin.token").read_text()
    assert noticed == ["changed"]
