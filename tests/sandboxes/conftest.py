"""One real sandbox-agent installation for all tests, and sandboxes that are gone when the test is over."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from foundry.contracts.sandbox_provider import NodeMissing, SandboxSpec
from foundry.sandboxes.agent import SandboxAgent
from foundry.sandboxes.local import install, isolation
from foundry.sandboxes.local.provider import LocalProvider

TOKEN = "a-token-of-the-tests"
CACHE = Path(os.environ.get("FOUNDRY_TEST_CACHE") or Path(__file__).parents[2] / ".foundry" / "test-cache")


@pytest.fixture(scope="session")
def binary() -> Path:
    """sandbox-agent, installed by npm once and kept between runs."""
    found = install.binary(CACHE)
    try:
        return found if found.exists() else install._install(CACHE, print)
    except NodeMissing as error:
        pytest.skip(f"sandbox-agent cannot be installed: {error.detail}")


@pytest.fixture(scope="session")
def walls() -> isolation.Walls:
    return isolation.probe()


@dataclass
class Lab:
    """A provider on a data directory of its own."""

    data_dir: Path
    provider: LocalProvider

    def again(self) -> LocalProvider:
        """The provider of a Foundry started anew on the same data directory."""
        return make(self.data_dir, self.provider._binary, self.provider._walls)


def make(data_dir: Path, binary: Path | None, walls: isolation.Walls) -> LocalProvider:
    return LocalProvider(
        data_dir,
        launchers={"mock": [sys.executable, "-m", "foundry.devkit.agent"]},
        extra_read_only=isolation.python_paths(),
        env={"SCRIPTED_AGENT_PACE_MS": "0"},
        binary=binary,
        walls=walls,
    )


@pytest.fixture
async def lab(tmp_path: Path, binary: Path, walls: isolation.Walls) -> AsyncIterator[Lab]:
    made = Lab(tmp_path / "data", make(tmp_path / "data", binary, walls))
    try:
        yield made
    finally:
        for sandbox in await made.provider.list():
            await made.provider.delete(sandbox)


@dataclass
class Box:
    """A sandbox that runs, with a client and a git repository in it."""

    agent: SandboxAgent
    repository: Path


@pytest.fixture
async def box(lab: Lab) -> AsyncIterator[Box]:
    await lab.provider.create("sbx_box", SandboxSpec(agents=["mock"]))
    endpoint = await lab.provider.start("sbx_box", TOKEN)
    repository = Path(lab.provider.repository_path("sbx_box"))
    async with SandboxAgent(endpoint.url, TOKEN) as agent:
        script = "git init -q -b main . && git config user.name Ada && git config user.email ada@example.com"
        await agent.processes.run("mkdir", ["-p", str(repository)])
        made = await agent.processes.run("sh", ["-c", script], cwd=str(repository))
        assert made.exit_code == 0, made.stderr
        yield Box(agent, repository)
