"""The command line against a listening server: what it prints, and how it says that something is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from foundry.actors.encryption import Sealer, load_or_create_key
from foundry.actors.secret_keys import SecretKeys
from foundry.actors.user_github_data.sealed import SealedPersonTokens
from foundry.actors.user_github_data.views import sealed_tokens
from foundry.contracts import addresses
from foundry.contracts.github_access import Role
from foundry.contracts.ids import SandboxId
from foundry.contracts.issues import Failure, IssueKind, RecordFailure
from foundry.contracts.messages import ScopeId
from foundry.contracts.sandbox_instance import DiskSeen, Orphan, OrphansSeen
from foundry.contracts.user_github_data import StoreIdentity
from tests.api.edge import ADA, ORG, TOKEN, Edge, listening, running
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMIT = 30.0  # seconds for one command, on 2 busy cores


@dataclass
class Said:
    code: int
    out: str
    err: str


class Shell:
    """A terminal on the server's machine."""

    def __init__(self, edge: Edge, url: str, data_dir: Path, config: Path) -> None:
        self.edge, self.url, self._data_dir, self.config = edge, url, data_dir, config

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        known = {name: value for name, value in os.environ.items() if not name.startswith("FOUNDRY_")}
        env = known | {"FOUNDRY_DATA_DIR": str(self._data_dir), "FOUNDRY_URL": self.url, "COLUMNS": "200"}
        env["XDG_CONFIG_HOME"] = str(self.config)
        pipe = asyncio.subprocess.PIPE
        command = (sys.executable, "-m", "foundry.cli", *words)
        return await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, env=env)

    async def __call__(self, *words: str) -> Said:
        process = await self.start(*words)
        async with asyncio.timeout(LIMIT):
            out, err = await process.communicate()
        return Said(process.returncode or 0, out.decode(), err.decode())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shell(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shell]:
    directory = tmp_path_factory.mktemp("cli")
    token = directory / "admin.token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    async with running(directory) as edge, listening(edge) as url:
        yield Shell(edge, url, directory, directory / "config")


async def test_a_task_from_create_to_archive(shell: Shell):
    made = await shell("task", "create", "lumen-works/tally", "Add a median", "--as", "ada", "--json")
    assert made.code == 0, made.err
    task = json.loads(made.out)["id"]
    for words in (("show", task), ("list",)):
        said = await shell("task", *words, "--as", "ada")
        assert task in said.out
        assert "lumen-works/tally" in said.out
    async with shell.edge.admin() as ada:
        await shell.edge.until(ada, f"/api/tasks/{task}", lambda found: found["state"] == "ready")
    fetched = await shell("task", "fetch", task, "--as", "ada")
    assert fetched.code == 0, fetched.err
    killed = await shell("task", "kill", task, "--as", "ada")
    assert "archived" in killed.out
    again = await shell("task", "archive", task, "--as", "ada")
    assert (again.code, again.out) == (1, "")
    assert "the task is archived" in again.err
    assert "(task)" in again.err
    assert "Open a new task." in again.err


async def test_a_transcript_is_followed_live(shell: Shell):
    shell.edge.github.prompts.clear()  # those of other tests' tasks
    made = await shell("task", "create", "lumen-works/tally", "Follow me", "--as", "ada", "--json")
    task = json.loads(made.out)
    async with shell.edge.admin() as ada:
        await shell.edge.until(ada, f"/api/sessions/{task['active_session']}", lambda found: found["transcript"])
    process = await shell.start("task", "logs", "-f", task["id"], "--as", "ada")
    assert process.stdout
    try:
        async with asyncio.timeout(LIMIT):
            assert (await process.stdout.readline()).decode() == "[user] Follow me\n"
            await eventually(lambda: shell.edge.github.prompts)
            shell.edge.github.end_turn()
            assert (await process.stdout.readline()).decode().startswith("[stop]")
    finally:
        process.terminate()
        await process.wait()


async def test_a_message_is_sent_once_a_call(shell: Shell):
    made = await shell("task", "create", "lumen-works/tally", "Talk", "--as", "ada", "--json")
    session = json.loads(made.out)["active_session"]
    async with shell.edge.admin() as ada:
        await shell.edge.until(ada, f"/api/sessions/{session}", bool)
    sent = await shell("session", "send", session, "And then?", "--as", "ada")
    assert "And then?" in sent.out
    assert session in (await shell("session", "show", session, "--as", "ada")).out
    asked = await shell("session", "permission", session, "prm_x", "allow", "--as", "ada")
    assert asked.code == 1
    assert "no permission request" in asked.err


async def test_issues_are_listed_and_cleared(shell: Shell):
    failure = Failure(
        kind=IssueKind.WORKFLOW_FAILED, actor=f"GitHubState:{ORG}", scope=ScopeId(ORG), fingerprint="f",
        message="the sync failed", remedy="Look at GitHub.",
    )  # fmt: skip
    await shell.edge.runtime.ask(addresses.organization(ORG), RecordFailure(failure=failure))
    said = await shell("issues", "list", "-o", "lumen-works", "--as", "ada")
    assert "the sync failed" in said.out
    assert "Look at GitHub." in said.out
    assert (await shell("issues", "clear", "--as", "ada")).out == "1 cleared\n"
    assert (await shell("issues", "list", "--app", "--as", "ada", "--json")).out.strip() == "[]"


async def test_the_runtime_is_inspected(shell: Shell):
    said = (await shell("inspect")).out
    assert "\nactors (" in said
    assert "\n  Repository: 2\n" in said
    assert "\nworkflows (" in said
    assert "\n  GitHubState:app sync: " in said
    found = json.loads((await shell("inspect", "--json")).out)
    assert {one["kind"] for one in found["actors"]} >= {"Repository", "Organization"}


async def test_sandboxes_are_listed_and_an_orphan_is_removed(shell: Shell):
    made = await shell("task", "create", "lumen-works/tally", "Take room", "--as", "ada", "--json")
    task, app = json.loads(made.out), addresses.app_shell()
    async with shell.edge.admin() as ada:
        await shell.edge.until(ada, f"/api/tasks/{task['id']}", lambda found: found["state"] == "ready")
    await shell.edge.runtime.ask(addresses.sandbox(task["sandbox"]), DiskSeen(disk=120_000_000))
    orphan = Orphan(id=SandboxId("sbx_orphan"), disk=2_500_000)
    await shell.edge.runtime.ask(app, OrphansSeen(orphans=[orphan]))
    for words in (("sandbox", "list"), ("inspect",)):
        said = (await shell(*words)).out
        assert "122 MB on disk" in said
        assert f"{task['sandbox']}    120 MB  running  of {task['id']}" in said
        assert "sbx_orphan    2.5 MB  first seen 2" in said
    refused = await shell("sandbox", "remove", "sbx_orphan")  # nobody answers the question
    assert refused.code == 1
    assert await shell.edge.runtime.ask(app, OrphansSeen(orphans=[orphan])) == []
    assert "within a minute" in (await shell("sandbox", "remove", "sbx_orphan", "--yes")).out
    assert await shell.edge.runtime.ask(app, OrphansSeen(orphans=[orphan])) == ["sbx_orphan"]
    kept = await shell("sandbox", "remove", task["sandbox"], "--yes")
    assert kept.code == 1
    assert "belongs to a task" in kept.err
    assert "no retained sandbox" in (await shell("task", "release", task["id"], "--as", "ada")).err


async def test_an_organization_is_shown_and_its_settings_change(shell: Shell):
    listed = await shell("organization", "list", "--as", "ada")
    assert listed.out == "lumen-works  2001\n", listed.err
    refused = await shell("organization", "set", "--show-public-work", "--as", "ada")
    assert (refused.code, "only owners of lumen-works" in refused.err) == (1, True)
    shell.edge.github.roles[ADA.id], shell.edge.later = Role.OWNER, shell.edge.foundry.access_times.read
    changed = await shell("organization", "set", "lumen-works", "--show-public-work", "--as", "ada")
    assert changed.out == "public work: shown to everybody who may sign in\n", changed.err
    shown = (await shell("organization", "show", "--as", "ada")).out.splitlines()
    assert shown[:2] == ["you are: owner", "public work: shown to everybody who may sign in"]
    assert shown[-1] == "requests left in this hour: 4321 of 5000 (floor 1000)"
    hidden = await shell("organization", "set", "--hide-public-work", "--as", "ada", "--json")
    assert json.loads(hidden.out)["public_work"] is False


async def test_actors_are_listed(shell: Shell):
    assert "Repository:4001" in (await shell("actors", "list", "--kind", "Repository")).out
    assert json.loads((await shell("actors", "show", "Repository", "4001")).out)["parent"] == f"Organization:{ORG}"


async def test_it_asks_as_whom_to_act(shell: Shell):
    said = await shell("task", "list")
    assert said.code == 1
    assert "ada, bob, grace" in said.err
    assert "--as LOGIN" in said.err


async def test_without_a_server_it_says_how_to_start_one(shell: Shell, tmp_path: Path):
    away = await shell("task", "list", "--as", "ada", "--url", "http://127.0.0.1:9")
    assert (away.code, away.out) == (1, "")
    assert "foundry serve" in away.err
    unknown = await shell("task", "list", "--data-dir", str(tmp_path))
    assert unknown.code == 1
    assert "foundry serve" in unknown.err
    assert "Traceback" not in away.err + unknown.err


async def test_the_settings_in_force_are_shown(shell: Shell):
    said = await shell("config", "check")
    assert said.code == 0
    assert "FOUNDRY_DATA_DIR" in said.out


async def test_the_key_is_rotated_beside_the_running_server(shell: Shell, tmp_path: Path):
    foundry, path = shell.edge.foundry, tmp_path / "secret.key"
    nothing = await shell("config", "rotate-key")
    assert (nothing.code, nothing.out) == (1, "")
    material = load_or_create_key(path)
    sealer, stores = Sealer([material]), (SealedPersonTokens(foundry.runtime),)
    identity = StoreIdentity(person=ADA, access_token=sealer.seal("ghu_ada"), refresh_token=sealer.seal("ghr_ada"))
    await foundry.runtime.ask(addresses.user_github_data(ADA.id), identity)
    foundry.secret_keys = SecretKeys(sealer, stores, material, path, foundry.runtime.alone)

    rotated = await shell("config", "rotate-key")
    assert rotated.code == 0, rotated.err
    assert rotated.out.splitlines()[:2] == ["a new key is in front", "1 sealed under the newest key, 0 to go"]
    assert "2 secrets are sealed under a key that this server does not have" in rotated.out
    assert "rotate-key --drop-old" in rotated.out
    assert len(path.read_text().splitlines()) == 2
    dropped = await shell("config", "rotate-key", "--drop-old")
    assert dropped.out.splitlines()[-1] == "1 key is left"
    assert len(path.read_text().splitlines()) == 1
    kept = await foundry.runtime.read(sealed_tokens, ADA.id)
    assert Sealer([load_or_create_key(path)]).unseal(kept.access_token) == "ghu_ada"

    foundry.secret_keys = SecretKeys(sealer, stores, material, None, foundry.runtime.alone)
    said = await shell("config", "rotate-key", "--drop-old")
    assert "FOUNDRY_SECRET_KEY has one key" in said.out
    async with shell.edge.client() as nobody:
        for method, route in (("GET", ""), ("POST", ""), ("POST", "/resealing"), ("DELETE", "/older")):
            assert (await nobody.request(method, f"/api/app/secret-keys{route}")).status_code in (401, 403)


async def test_the_admin_token_is_not_sent_to_another_server(shell: Shell):
    elsewhere = await shell("task", "list", "--as", "ada", "--url", "https://foundry.example")
    assert elsewhere.code == 1
    assert "the admin token of this machine is not sent to another server" in elsewhere.err
    assert "foundry login --url https://foundry.example" in elsewhere.err
