"""The client beside the stand-in GitHub, which one module's tests share, and beside answers nobody documented."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx2 as httpx
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from foundry.github.client import GitHub, http_client
from tests.actors.github_stage import Sample, sample_github

Answer = Callable[[httpx.Request], httpx.Response]

INSTALLATION = 3001  # of the sample App, on lumen-works
TALLY = "lumen-works/tally"


@pytest.fixture(scope="session")
def private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, plain).decode()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    with sample_github(tmp_path_factory.mktemp("github")) as running:
        yield running


@pytest_asyncio.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with http_client() as client:
        yield client


@pytest.fixture
def github(sample: Sample, http: httpx.AsyncClient) -> GitHub:
    return sample.client(http)


@pytest.fixture
def answering(private_key: str) -> Callable[[Answer], GitHub]:
    """A client whose network is a function: for answers the stand-in does not give."""

    def make(answer: Answer) -> GitHub:
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        return GitHub("https://github.test/api/v3", client, app_id="77", private_key=private_key)

    return make


async def push(github: GitHub, repository: int, url: str, branch: str, directory: Path) -> None:
    """A commit on a new branch, pushed with a credential of the App's."""

    def run(*words: str, cwd: Path) -> None:
        env = {"PATH": os.environ["PATH"], "HOME": str(directory), "GIT_TERMINAL_PROMPT": "0"}
        done = subprocess.run(["git", *words], cwd=cwd, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def work(token: str) -> None:
        where = directory / "clone"
        run("clone", "-q", url.replace("://", f"://x-access-token:{token}@"), str(where), cwd=directory)
        run("checkout", "-q", "-b", branch, cwd=where)
        (where / "note.txt").write_text(branch)
        run("add", ".", cwd=where)
        run("-c", "user.name=Ada", "-c", "user.email=ada@example.test", "commit", "-qm", branch, cwd=where)
        run("push", "-q", "origin", branch, cwd=where)

    async with github.git_token(INSTALLATION, repository, write=True) as token:
        await asyncio.to_thread(work, token)
