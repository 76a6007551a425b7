"""Runs the stand-in as a separate process, for tests and demos."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

import httpx2 as httpx
import jwt

START_LIMIT = 30.0  # seconds; a cold interpreter and the first key's generation on a busy machine
STOP_LIMIT = 10.0  # seconds


@dataclass
class GitHubAt:
    """A client of the stand-in with this directory, to make and see the changes of GitHub's owners."""

    directory: Path
    identity: dict[str, str] = field(init=False)  # its app.json

    def __post_init__(self) -> None:
        self.identity = json.loads((self.directory / "app.json").read_text())

    @property
    def url(self) -> str:
        return self.identity["web_url"]

    @property
    def api(self) -> str:
        return self.identity["api_url"]

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Send one call under /_devkit/. Returns its JSON, if there is any."""
        answer = httpx.request(method, f"{self.url}/_devkit/{path}", json=body, trust_env=False)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def app_token(self, *, life: int = 540, age: int = 30) -> str:
        """Return the App's own token, a JWT valid for `life` seconds."""
        now = int(time.time())
        claims = {"iat": now - age, "exp": now + life, "iss": self.identity["app_id"]}
        return jwt.encode(claims, self.identity["private_key"], algorithm="RS256")

    def token(self, installation: int = 3001, **wish: object) -> str:
        """Return an installation's token. `wish` is GitHub's body: repositories, repository_ids, permissions."""
        headers = {"Authorization": f"Bearer {self.app_token()}"}
        url = f"{self.api}/app/installations/{installation}/access_tokens"
        answer = httpx.post(url, json=wish, headers=headers, trust_env=False)
        answer.raise_for_status()
        return answer.json()["token"]


@dataclass
class RunningGitHub(GitHubAt):
    """A stand-in in a separate process."""

    process: subprocess.Popen[str]

    def kill(self) -> None:
        """Kill it, like a power failure."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(STOP_LIMIT)


@contextmanager
def running_github(directory: Path, *, webhook: str | None = None, port: int = 0) -> Iterator[RunningGitHub]:
    """Start it on a free port of 127.0.0.1 (or on the given port), and stop it at the end."""
    command = [sys.executable, "-m", "foundry.devkit.github", "--dir", str(directory), "--port", str(port)]
    command += ["--webhook-url", webhook] if webhook else []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        alarm = Timer(START_LIMIT, process.kill)
        alarm.start()
        try:
            line = process.stdout.readline()
            alarm.cancel()
            if not line:
                raise RuntimeError(f"the stand-in GitHub in {directory} did not start; its output is above")
            yield RunningGitHub(directory, process)
        finally:
            alarm.cancel()
            process.terminate()
            try:
                process.wait(STOP_LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
