"""`foundry demo`: the whole main job from one command, as a new user runs it."""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from foundry.sandboxes.local import processes

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

LIMIT = 100.0  # seconds; the first demo on a machine installs sandbox-agent


@pytest.fixture
def home(tmp_path: Path, sandbox_agent_cache: Path) -> Iterator[Path]:
    """A place for the demo, with a space in its path and sandbox-agent already there; its sandboxes are ended."""
    place = tmp_path / "my demo"
    (place / "data").mkdir(parents=True)
    (place / "data" / "sandbox-agent").symlink_to(sandbox_agent_cache / "sandbox-agent")
    yield place
    for sandbox in (place / "data" / "sandboxes").glob("*"):
        for pid in processes.belonging(sandbox, None, None):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def command(home: Path, *arguments: str) -> dict[str, Any]:
    """What starts the demo, without what the environment may say of another Foundry."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FOUNDRY_")}
    args = [sys.executable, "-m", "foundry.cli", "demo", "--data-dir", str(home), *arguments]
    env = {**kept, "PYTHONUNBUFFERED": "1"}
    return {"args": args, "text": True, "env": env, "preexec_fn": _as_from_a_terminal}


def _as_from_a_terminal() -> None:
    """A shell lets what it starts in the background ignore Ctrl-C, the tests perhaps and all below them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def demo(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(**command(home, *arguments), capture_output=True, timeout=LIMIT)


@contextmanager
def demo_that_stays(home: Path) -> Iterator[subprocess.Popen[str]]:
    """A demo that has done its job and stays up; whatever happens, it is ended."""
    process = subprocess.Popen(**command(home, "--port", "0"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT)


def read_until(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout
    seen: list[str] = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return line
    raise AssertionError(f"no {words!r} in:\n{''.join(seen)}")


def server_of(process: subprocess.Popen[str], words: str) -> int:
    """The pid of the demo's child whose command line has these words."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return next(int(pid) for pid in children if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "))


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


def wait_until(look: Callable[[], Any]) -> Any:
    end = time.monotonic() + LIMIT
    while not (found := look()):
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.1)
    return found


@pytest.mark.long
def test_a_server_that_is_killed_is_started_again(home: Path) -> None:
    with demo_that_stays(home) as process:
        url = read_until(process, "Foundry:  ").split()[1]
        read_until(process, "Ctrl-C ends it")
        for words in ("foundry.cli serve", "foundry.devkit.github"):
            os.kill(server_of(process, words), signal.SIGKILL)
            assert "by SIGKILL; restarting it" in read_until(process, "exited")
            read_until(process, "is back")
        assert httpx.get(f"{url}/auth/github").status_code == 302
    assert process.returncode == 0


@pytest.mark.long
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_a_demo_ended_in_the_middle_of_its_job_goes_on_with_it_next_time(home: Path, sign: signal.Signals) -> None:
    """The first job's task is provisioned, says what it waits for, and is not in the way of the next."""
    first = subprocess.Popen(**command(home, "--port", "0"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        read_until(first, "created: ")
    finally:
        first.send_signal(sign)
        first.communicate(timeout=LIMIT)

    with demo_that_stays(home) as process:
        url = read_until(process, "Foundry:  ").split()[1]
        token = (home / "data" / "admin.token").read_text().strip()
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}", "X-Foundry-As": "ada"}) as ada:
            unfinished = ada.get("/api/organizations/2001/tasks").json()
            assert len(unfinished) == 1
            task = f"/api/tasks/{unfinished[0]['id']}"
            active = wait_until(lambda: ada.get(task).json()["active_session"])
            session = f"/api/sessions/{active}"
            asked = wait_until(lambda: ada.get(session).json()["session"]["permissions"])[0]
            assert ada.post(
                f"{session}/permissions/{asked['id']}", json={"option": asked["options"][0]["id"]}
            ).is_success
            wait_until(lambda: ada.get(task).json()["pull_request"])


@pytest.mark.long
def test_ended_at_any_moment_again_and_again_it_goes_on(home: Path) -> None:
    """By Ctrl-C or kill -9, from the first import on. Whatever was begun comes to a good end afterwards."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(4):
        process = subprocess.Popen(**command(home, "--port", "0"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(chance.uniform(0.2, 7.0))  # the moment is what is tested
        process.send_signal(chance.choice((signal.SIGINT, signal.SIGKILL)))
        process.communicate(timeout=LIMIT)

    with demo_that_stays(home) as process:
        url = read_until(process, "Foundry:  ").split()[1]
        read_until(process, "Ctrl-C ends it")  # after a whole job of its own
        token = (home / "data" / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "X-Foundry-As": "ada"}
        with httpx.Client(base_url=url, headers=headers, timeout=LIMIT) as ada:
            wait_until(lambda: all([ended(ada, task) for task in ada.get("/api/organizations/2001/tasks").json()]))
            wait_until(lambda: not ada.get("/api/app/inspect").json()["workflows"])


def ended(ada: httpx.Client, task: dict[str, Any]) -> bool:
    """Whether it has its pull request; what its agent asks is allowed, what may have been sent is sent again."""
    seen = ada.get(f"/api/tasks/{task['id']}").json()
    for session in seen["sessions"]:
        answer = ada.get(f"/api/sessions/{session['id']}")
        if answer.status_code == 404:  # its row comes with the task's first message
            continue
        view = answer.json()["session"]
        for asked in view["permissions"]:
            place = f"/api/sessions/{session['id']}/permissions/{asked['id']}"
            ada.post(place, json={"option": asked["options"][0]["id"]})
        for message in view["messages"]:
            if message["state"] in ("unknown", "failed"):
                ada.post(f"/api/sessions/{session['id']}/messages/{message['id']}/resend")
    return seen["state"] == "archived" or bool(seen["pull_request"])


def test_a_job_that_cannot_end_says_why_and_is_no_success(home: Path) -> None:
    """The data directory belongs to another demo that still runs."""
    import fcntl

    with (home / "data" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = demo(home, "--once", "--port", "0")
    assert ended.returncode == 1
    assert "demo: ok" not in ended.stdout
    assert "Foundry did not start" in ended.stderr
