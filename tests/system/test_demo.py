"""`foundry demo`: the whole main job from one command, as a new user runs it."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

LIMIT = 100.0  # seconds; the first demo on a machine installs sandbox-agent


@pytest.fixture
def home(tmp_path: Path, sandbox_agent_cache: Path) -> Path:
    """A place for the demo, with a space in its path and sandbox-agent already there."""
    place = tmp_path / "my demo"
    (place / "data").mkdir(parents=True)
    (place / "data" / "sandbox-agent").symlink_to(sandbox_agent_cache / "sandbox-agent")
    return place


def demo(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "foundry.cli", "demo", "--data-dir", str(home), *arguments]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOUNDRY_")}
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=kept)


def test_it_does_the_whole_job_twice_in_a_row_with_the_port_taken(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        first = demo(home, "--once", "--port", port)
        assert first.returncode == 0, first.stdout + first.stderr
        assert first.stdout.splitlines()[-1] == "demo: ok"
        assert f"port {port} is taken" in first.stdout
    for step in ("naming", "running", "the agent asked", "pushing", "pull request #1 opened", "merged"):
        assert step in first.stdout, first.stdout
    seconds = re.search(r"([\d.]+) s in all", first.stdout)
    assert seconds, first.stdout

    again = demo(home, "--once", "--port", port)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "pull request #2 opened" in again.stdout
    assert again.stdout.splitlines()[-1] == "demo: ok"


def test_a_job_that_cannot_end_says_why_and_is_no_success(home: Path) -> None:
    """The data directory belongs to another demo that still runs."""
    import fcntl

    with (home / "data" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = demo(home, "--once", "--port", "0")
    assert ended.returncode == 1
    assert "demo: ok" not in ended.stdout
    assert "Foundry did not start" in ended.stderr
