"""`foundry login` and `logout`, the audit log, and a new admin token, from a terminal."""

from __future__ import annotations

import asyncio
import json
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2 as httpx
import pytest

from foundry.api.admin_token import AdminTokenFile
from tests.api.edge import ADA, Edge, listening, running
from tests.cli.test_commands import LIMIT, Said, Shell


class Terminal(Shell):
    """A terminal on some machine, which may have no data directory."""

    @property
    def stored(self) -> Path:
        return self.config / "foundry" / "credentials.json"

    async def login(self, *words: str, approve: bool = True) -> Said:
        """Run `foundry login` and answer in Ada's browser."""
        process = await self.start("login", *words)
        assert process.stdout
        async with asyncio.timeout(LIMIT):
            first = (await process.stdout.readline()).decode()
            code = re.search(r"user_code=([A-Z-]+)", first)
            assert code, first
            async with await self.edge.browser(ADA) as ada:
                answer = await ada.post("/api/login/device/answer", json={"user_code": code[1], "approve": approve})
                assert answer.status_code == 204, answer.text
            out, err = await process.communicate()
        return Said(process.returncode or 0, first + out.decode(), err.decode())


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    (tmp_path / "server").mkdir()
    async with running(tmp_path / "server", device_interval=0.2) as found:
        yield found


@pytest.fixture
async def far(edge: Edge, tmp_path: Path) -> AsyncIterator[Terminal]:
    """A terminal on a machine without a server."""
    async with listening(edge) as url:
        yield Terminal(edge, url, tmp_path / "no-server", tmp_path / "config")


@pytest.fixture
async def near(edge: Edge, tmp_path: Path) -> AsyncIterator[Terminal]:
    """A terminal on the server's machine."""
    data = tmp_path / "server"
    edge.foundry.admin_token = AdminTokenFile(data)
    edge.foundry.admin_token()
    async with listening(edge) as url:
        yield Terminal(edge, url, data, tmp_path / "config")


async def test_who_has_logged_in_works_from_any_machine_until_they_log_out(far: Terminal):
    refused = await far("task", "list")
    assert refused.code == 1
    assert "foundry login" in refused.err
    said = await far.login()
    assert said.code == 0, said.err
    assert stat.S_IMODE(far.stored.stat().st_mode) == 0o600
    stored = json.loads(far.stored.read_text())
    assert stored == {"url": far.url, "token": stored["token"]}
    assert stored["token"] not in said.out
    made = await far("task", "create", "lumen-works/tally", "Add a median", "--json")
    assert json.loads(made.out)["created_by"]["login"] == "ada"
    left = await far("logout")
    assert left.code == 0, left.err
    assert not far.stored.exists()
    async with httpx.AsyncClient(base_url=far.url, headers={"Authorization": f"Bearer {stored['token']}"}) as old:
        assert (await old.get("/api/app")).json()["code"] == "signed_out"
    assert (await far("logout")).code == 1


async def test_a_denied_login_stores_nothing(far: Terminal):
    said = await far.login(approve=False)
    assert said.code == 1
    assert "denied" in said.err
    assert not far.stored.exists()


async def test_a_login_asks_for_the_scopes_that_are_named(far: Terminal):
    assert (await far.login("--scope", "read", "--name", "reader")).code == 0
    assert (await far("task", "list")).code == 0
    refused = await far("task", "create", "lumen-works/tally", "Add a median")
    assert refused.code == 1
    assert "the scope write" in refused.err


async def test_the_token_goes_to_its_own_server_alone(far: Terminal):
    assert (await far.login()).code == 0
    elsewhere = await far("task", "list", "--url", "http://127.0.0.1:9")
    assert elsewhere.code == 1
    assert "there is no admin token" in elsewhere.err


async def test_a_logout_without_the_server_deletes_the_token_and_says_that_it_still_works(far: Terminal):
    far.stored.parent.mkdir(parents=True)
    far.stored.write_text(json.dumps({"url": "http://127.0.0.1:9", "token": "fdy_x"}))
    said = await far("logout")
    assert said.code == 1
    assert "http://127.0.0.1:9/settings/sessions" in said.err
    assert not far.stored.exists()


async def test_acting_as_somebody_uses_the_admin_token_of_this_machine(near: Terminal):
    assert (await near.login("--scope", "read")).code == 0
    made = await near("task", "create", "lumen-works/tally", "Add a median", "--as", "ada", "--json")
    assert made.code == 0, made.err
    assert (await near("inspect")).code == 0


async def test_the_admin_reads_the_audit_log(near: Terminal):
    await near("task", "create", "lumen-works/tally", "Add a median", "--as", "ada")
    said = await near("audit")
    assert re.search(r"admin +ada  request POST /api/organizations/2001/tasks from 127\.0\.0\.1", said.out), said.out
    assert json.loads((await near("audit", "--json", "--limit", "1")).out)[0]["kind"] == "admin"


async def test_a_rotated_admin_token_works_at_once_and_the_old_one_does_not(near: Terminal, tmp_path: Path):
    file = tmp_path / "server" / "admin.token"
    old = file.read_text()
    said = await near("admin-token", "rotate")
    assert said.code == 0, said.err
    assert f"the server at {near.url} uses it" in said.out
    assert file.read_text() != old
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    async with httpx.AsyncClient(base_url=near.url, headers={"Authorization": f"Bearer {old}"}) as client:
        assert (await client.get("/api/actors")).status_code == 401
    assert (await near("actors", "list")).code == 0


async def test_the_admin_token_is_rotated_while_no_server_runs(far: Terminal, tmp_path: Path):
    data = tmp_path / "no-server"
    data.mkdir()
    AdminTokenFile(data)
    old = (data / "admin.token").read_text()
    said = await far("admin-token", "rotate", "--url", "http://127.0.0.1:9")
    assert said.code == 0
    assert "No server has used the new token yet" in said.err
    assert (data / "admin.token").read_text() != old


async def test_there_is_nothing_to_rotate_without_a_token(far: Terminal):
    said = await far("admin-token", "rotate")
    assert said.code == 1
    assert "there is no admin token" in said.err
