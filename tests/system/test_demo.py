"""`foundry demo`: the whole main job from one command, as a new user runs it."""

from __future__ import annotations

import json
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

from foundry.cli import demo_processes
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
    """What a shell starts in the background ignores Ctrl-C; what nohup starts ignores the end of its terminal.

    The demo handles Ctrl-C nevertheless, but not before its first line.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


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


def running_in(home: Path) -> set[int]:
    """Return the pids of this demo's servers and of all processes in its sandboxes."""
    in_sandboxes = processes.carrying(processes.MARK)
    servers = processes.carrying(demo_processes.MARK)
    below = f"{home}/data/sandboxes/"
    return {pid for pid, mark in in_sandboxes.items() if mark.startswith(below)} | {
        pid for pid, mark in servers.items() if mark == str(home)
    }


@contextmanager
def ada_at(home: Path, url: str) -> Iterator[httpx.Client]:
    """A client of the demo's Foundry, with the machine's own token."""
    token = (home / "data" / "admin.token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "X-Foundry-As": "ada"}
    with httpx.Client(base_url=url, headers=headers, timeout=LIMIT) as ada:
        yield ada


@contextmanager
def bystanders(home: Path) -> Iterator[None]:
    """Processes that only look like the demo's. They must keep running."""
    marks = [
        {processes.MARK: f"{home}2/data/sandboxes/sbx_1"},
        {demo_processes.MARK: f"{home}2"},
        {"FOUNDRY_DATA_DIR": f"{home}/data"},
    ]
    script = [sys.executable, "-c", "import time; time.sleep(600)", str(home / "data" / "sandboxes" / "sbx_1")]
    started = [subprocess.Popen(script, cwd=home, env=os.environ | mark) for mark in marks]
    try:
        yield
        assert [process.poll() for process in started] == [None] * len(started)
    finally:
        for process in started:
            process.kill()
            process.wait()


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
    assert running_in(home) == set()


SCRIPTED = [sys.executable, "-m", "foundry.devkit.agent"]


def with_launchers(home: Path, text: str) -> dict[str, Any]:
    how = command(home, "--port", "0")
    return how | {"env": how["env"] | {"FOUNDRY_AGENT_LAUNCHERS": text}}


def test_launchers_of_ones_own_are_used_beside_the_scripted_agent(home: Path) -> None:
    how = with_launchers(home, json.dumps({"claude": SCRIPTED}))
    process = subprocess.Popen(**how, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        read_until(process, "demo: agents with your own launcher: claude")
        url = read_until(process, "Foundry:  ").split()[1]  # after the job with the scripted agent
        with ada_at(home, url) as ada:
            wish = {"repository": "lumen-works/tally", "prompt": "```script\nsay I am yours\n```", "agent": "claude"}
            made = ada.post("/api/organizations/2001/tasks", json=wish)
            assert made.status_code == 201, made.text
            session = f"/api/sessions/{made.json()['active_session']}"
            wait_until(lambda: "I am yours" in json.dumps(ada.get(session).json().get("transcript", [])[1:]))
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT)


def test_who_replaces_the_scripted_agent_is_told(home: Path) -> None:
    process = subprocess.Popen(
        **with_launchers(home, json.dumps({"mock": ["/bin/false"]})), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        read_until(process, "demo: your launcher runs mock instead of the scripted agent")
        read_until(process, "signed in")
        assert "/bin/false" in environment(server_of(process, "foundry.cli serve"))["FOUNDRY_AGENT_LAUNCHERS"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT)


def environment(pid: int) -> dict[str, str]:
    return dict(word.partition("=")[::2] for word in Path(f"/proc/{pid}/environ").read_text().split("\0"))


def test_launchers_that_cannot_be_read_are_named(home: Path) -> None:
    said = subprocess.run(**with_launchers(home, "{"), capture_output=True, timeout=LIMIT)
    assert said.returncode == 1
    assert re.search("FOUNDRY_AGENT_LAUNCHERS.*JSON", said.stderr)
    assert "Traceback" not in said.stderr
    assert running_in(home) == set()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_in_the_background_of_a_script_is_ended_by_a_signal(home: Path, sign: signal.Signals) -> None:
    """The shell starts it with SIGINT ignored."""
    how = command(home, "--port", "0")
    script = ["/bin/sh", "-c", '"$@" & echo $!; wait $!', "script", *how["args"]]
    shell = subprocess.Popen(**how | {"args": script}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert shell.stdout
    demo = int(shell.stdout.readline())
    try:
        read_until(shell, "demo: starting the stand-in GitHub")
        os.kill(demo, sign)
        said, _ = shell.communicate(timeout=LIMIT)
    finally:
        with suppress(ProcessLookupError):
            os.kill(demo, signal.SIGKILL)
        shell.wait(LIMIT)
    assert said.splitlines()[-1] == "demo: stopped"
    assert shell.returncode == 0
    assert running_in(home) == set()


def test_nohup_lets_it_outlive_its_terminal(home: Path) -> None:
    how = command(home, "--port", "0") | {"preexec_fn": lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)}
    process = subprocess.Popen(**how, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        read_until(process, "demo: starting the stand-in GitHub")
        process.send_signal(signal.SIGHUP)
        read_until(process, "demo: starting Foundry")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=LIMIT)
    assert process.returncode == 0


def test_a_sandbox_whose_agent_works_ends_with_it(home: Path) -> None:
    process = subprocess.Popen(**command(home, "--port", "0"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        read_until(process, "running (running)")
        assert len(running_in(home)) > 3
    finally:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=LIMIT)
    assert re.search(r"^demo: ended 1 sandbox \(\d+ processes\)$", out, re.M)
    assert out.splitlines()[-1] == "demo: stopped"
    assert (process.returncode, err) == (0, "")
    assert running_in(home) == set()
    assert list((home / "data" / "sandboxes").iterdir()), "its files are kept"


@pytest.mark.long
def test_a_sandbox_that_nobody_uses_is_stopped_in_order_and_the_next_message_starts_it(home: Path) -> None:
    with demo_that_stays(home) as process, ada_at(home, read_until(process, "Foundry:  ").split()[1]) as ada:
        read_until(process, "Ctrl-C stops the demo")
        wish = {"repository": "lumen-works/tally", "prompt": "```script\nsay Hello\n```"}
        task = f"/api/tasks/{ada.post('/api/organizations/2001/tasks', json=wish).json()['id']}"
        wait_until(lambda: ada.get(task).json()["activity"] == "idle")
        process.send_signal(signal.SIGINT)
        assert "saving the sandboxes' work" in read_until(process, "demo: ")
        assert process.wait(LIMIT) == 0
        assert running_in(home) == set()

    with demo_that_stays(home) as process, ada_at(home, read_until(process, "Foundry:  ").split()[1]) as ada:
        seen = ada.get(task).json()
        assert (seen["sandbox_stopped"], seen["failure"]) == (True, None)
        session = f"/api/sessions/{seen['active_session']}"
        ada.post(f"{session}/messages", json={"text": "```script\nsay Hello again\n```"})
        said = wait_until(lambda: [e for e in ada.get(session).json()["transcript"] if "Hello again" in e["text"]])
        assert said


def test_what_a_killed_demo_left_running_is_ended_by_clean_and_nothing_else(home: Path) -> None:
    process = subprocess.Popen(**command(home, "--port", "0"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    with bystanders(home):
        try:
            read_until(process, "running (running)")
            refused = demo(home, "--clean")
            assert refused.returncode == 1
            assert f"a demo (process {process.pid}) is already running in {home}" in refused.stderr
            assert process.poll() is None
        finally:
            process.kill()
            process.communicate(timeout=LIMIT)
        assert running_in(home)
        cleaned = demo(home, "--clean")
        assert cleaned.returncode == 0, cleaned.stderr
        assert re.search(r"^demo: ended 1 sandbox \(\d+ processes\)$", cleaned.stdout, re.M), cleaned.stdout
        assert running_in(home) == set()
        again = demo(home, "--clean")
        assert (again.returncode, again.stdout) == (0, f"demo: nothing was left running in {home}\n")


def test_clean_says_where_there_is_no_demo_and_makes_none(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        said = demo(place, "--clean")
        assert (said.returncode, said.stdout) == (0, f"demo: there is no demo in {place}\n")
    assert list(tmp_path.iterdir()) == []


def test_servers_that_a_killed_demo_left_are_ended(home: Path) -> None:
    """Servers usually exit with the demo. The next demo, or --clean, ends one that does not."""
    env = os.environ | {demo_processes.MARK: str(home)}
    with subprocess.Popen(["sleep", "600"], env=env) as left, bystanders(home):
        said = demo(home, "--clean")
        assert said.stdout == "demo: ended 1 server that an earlier demo left running\n"
        assert left.wait(LIMIT) == -signal.SIGTERM


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
        read_until(process, "Ctrl-C stops the demo")
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
        with ada_at(home, url) as ada:
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
@pytest.mark.timeout(240)  # a sandbox that ended with its demo in the middle of a prompt is started again after 45 s
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
        read_until(process, "Ctrl-C stops the demo")  # after a whole job of its own
        with ada_at(home, url) as ada:
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
    assert "the sandboxes keep running, because" in ended.stderr
