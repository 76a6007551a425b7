"""`foundry demo`: the whole main job once, with real parts, on this machine alone; then it stays up.

It starts the stand-in GitHub and a Foundry as processes of their own, signs in as a sample person, opens a task for
the scripted agent, answers its question, merges the pull request, and waits until the task is archived.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

PORT = 7741
PERSON = "ada"
REPOSITORY = "lumen-works/tally"
START_LIMIT = 120.0  # seconds; the first start installs sandbox-agent
JOB_LIMIT = 60.0  # seconds the whole job may take


class DemoFailed(Exception):
    """The job did not come to its end; the text says why."""


def _default_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "foundry-demo"


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the job, with `demo: ok` or the reason.")] = False,
    port: Annotated[int, typer.Option(help="Port to listen on; another is taken if it is not free.")] = PORT,
    data_dir: Annotated[Path | None, typer.Option(help="Where the demo keeps everything.")] = None,
) -> None:
    """The whole main job once, on this machine alone: no account, no key."""
    home = (data_dir or _default_dir()).absolute()
    home.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with _github(home) as github, _foundry(home, _free(port)) as url:
            Job(url, github, home).run()
            typer.echo("")
            typer.echo(f"Foundry:          {url}   (sign in as any sample person)")
            typer.echo(f"Stand-in GitHub:  {github}")
            if once:
                typer.echo("demo: ok")
                return
            typer.echo("Ctrl-C ends it; what it has made is kept and found again.")
            while True:
                time.sleep(1)
    except DemoFailed as error:
        typer.echo(f"demo: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("demo: stopped")
        raise typer.Exit(130 if once else 0) from None


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


# the processes


def _free(port: int) -> int:
    """This port, or another if something listens there."""
    for candidate in (port, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                typer.echo(f"demo: port {port} is taken; taking another")
                continue
            return probe.getsockname()[1]
    raise DemoFailed("no port is free")


def _die_with_parent() -> None:
    """Linux: end when the demo ends, even by kill -9, so that the next one finds the data directory free."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the demo's; it ends us in order


@contextmanager
def _process(
    name: str, log: Path, *arguments: str, env: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **(env or {})},
            preexec_fn=_die_with_parent,
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            typer.echo(f"demo: {name} did not stop in time and is killed", err=True)
            process.kill()
            process.wait()


@contextmanager
def _github(home: Path) -> Iterator[str]:
    typer.echo("demo: starting the stand-in GitHub")
    log = home / "github.log"
    known = home / "github" / "app.json"
    port = _last_port(known)
    with _process(
        "the stand-in GitHub", log, "foundry.devkit.github", "--dir", str(home / "github"), "--port", str(port)
    ) as process:
        assert process.stdout
        line = process.stdout.readline()
        if not line:
            raise DemoFailed(f"the stand-in GitHub did not start; see {log}")
        yield json.loads(line)["ready"]


def _last_port(known: Path) -> int:
    """The port the stand-in had last time, if it is free: clones that exist point there."""
    try:
        port = int(json.loads(known.read_text())["web_url"].rpartition(":")[2])
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except (OSError, ValueError, KeyError):
        return 0
    return port


@contextmanager
def _foundry(home: Path, port: int) -> Iterator[str]:
    app = json.loads((home / "github" / "app.json").read_text())
    env = {
        "FOUNDRY_DATA_DIR": str(home / "data"),
        "FOUNDRY_GITHUB_APP_ID": app["app_id"],
        "FOUNDRY_GITHUB_APP_PRIVATE_KEY": app["private_key"],
        "FOUNDRY_GITHUB_CLIENT_ID": app["client_id"],
        "FOUNDRY_GITHUB_CLIENT_SECRET": app["client_secret"],
        "FOUNDRY_GITHUB_WEBHOOK_SECRET": app["webhook_secret"],
        "FOUNDRY_GITHUB_API_URL": app["api_url"],
        "FOUNDRY_GITHUB_WEB_URL": app["web_url"],
        "FOUNDRY_AGENT_LAUNCHERS": json.dumps({"mock": [sys.executable, "-m", "foundry.devkit.agent"]}),
        "FOUNDRY_DEFAULT_AGENT": "mock",
        "FOUNDRY_AUTO_PUBLISH": "true",
        "FOUNDRY_DEVKIT_SIGN_IN": "true",
        "FOUNDRY_HOST": "127.0.0.1",
        "FOUNDRY_DATABASE_URL": "",
        "FOUNDRY_PUBLIC_URL": "",
    }
    typer.echo("demo: starting Foundry")
    log = home / "foundry.log"
    with _process("Foundry", log, "foundry.cli", "serve", "--port", str(port), env=env) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith("Foundry listens on "):
                yield line.removeprefix("Foundry listens on ").strip()
                return
            typer.echo(f"demo: {line.strip()}")
        raise DemoFailed(f"Foundry did not start: {_last_line(log)} (all of it: {log})")


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text().splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


# the job


class Job:
    """A person's way through the main job, over HTTP as a browser or program would go it."""

    def __init__(self, url: str, github: str, home: Path) -> None:
        import httpx

        self._url, self._github, self._home = url, github, home
        self._http = httpx.Client(base_url=url, timeout=20.0, headers={"Origin": url})
        self._hub = httpx.Client(base_url=github, timeout=20.0)
        self._began = time.monotonic()
        self._last = self._began

    def run(self) -> None:
        """1. Sign in. 2. Open a task. 3. Watch it run. 4. Merge. 5. It is archived."""
        from foundry.devkit.cast import demo_prompt

        self._hub.put("/_devkit/webhook", json={"url": f"{self._url}/api/rivet/app/webhooks/github"})
        self._sign_in()
        organization, number = self._organization()
        self._began = self._last = time.monotonic()
        task = self._ask(
            "POST",
            f"/api/organizations/{organization}/tasks",
            {"repository": REPOSITORY, "prompt": demo_prompt(number)},
        )
        self._line(f"created: {task['title']}")
        task = self._watch(task["id"])
        pull = task["pull_request"]
        self._line(f"pull request #{pull['number']} opened: {pull['url']}")
        self._hub.cookies.set("devkit_login", PERSON)
        self._hub.post(f"/{REPOSITORY}/pull/{pull['number']}/merge")
        task = self._until(task["id"], lambda t: t["state"] == "archived")
        self._line(f"{task['archived']}, and the task is archived")
        typer.echo(f"  {time.monotonic() - self._began:6.2f} s in all")

    def _sign_in(self) -> None:
        """As a browser does: to GitHub, choose a person, come back with a code."""
        away = self._http.get("/auth/github").headers["location"]
        query = dict(part.split("=", 1) for part in away.partition("?")[2].split("&"))
        from urllib.parse import unquote

        form = {key: unquote(value) for key, value in query.items()} | {"login": PERSON}
        back = self._hub.post("/login/oauth/choose", data=form).headers["location"]
        done = self._http.get(back)
        if done.status_code != 302:
            raise DemoFailed(f"signing in ended with {done.status_code}: {done.text[:300]}")
        self._line(f"signed in as {PERSON}")

    def _organization(self) -> tuple[str, int]:
        """The organization that has the repository, and how many tasks were made there before."""
        owner = REPOSITORY.partition("/")[0]
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end:
            for found in self._ask("GET", "/api/app")["organizations"]:
                if found["login"] == owner:
                    path = f"/api/organizations/{found['id']}/tasks"
                    before = len(self._ask("GET", path)) + len(self._ask("GET", f"{path}?archived=true"))
                    return found["id"], before
            time.sleep(0.1)
        raise DemoFailed(f"GitHub's sync has not found {owner} in {START_LIMIT:.0f} s")

    def _watch(self, task: str) -> dict[str, Any]:
        """Say each phase as it passes, answer what the agent asks, until the pull request is there."""
        shown: list[str] = []
        answered: set[str] = set()

        def step(found: dict[str, Any]) -> bool:
            if found["state"] == "failed":
                trouble = found["trouble"]
                raise DemoFailed(f"{found['phase']} failed: {trouble['message']} {trouble['remedy']}")
            status = found["activity"]
            said = f"{found['phase']}" + (f" ({status})" if found["phase"] == "running" else "")
            said = found["publishing"] or said
            if said not in shown:
                shown.append(said)
                self._line(said)
            if status == "running":
                self._answer(found["active_session"], answered)
            return found["pull_request"] is not None

        return self._until(task, step)

    def _answer(self, session: str, answered: set[str]) -> None:
        for asked in self._ask("GET", f"/api/sessions/{session}")["session"]["permissions"]:
            if asked["state"] == "waiting" and asked["id"] not in answered:
                answered.add(asked["id"])
                option = asked["options"][0]
                self._ask("POST", f"/api/sessions/{session}/permissions/{asked['id']}", {"option": option["id"]})
                self._line(f"the agent asked: {asked['title']} -> {option['name']}")

    def _until(self, task: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + JOB_LIMIT
        while not holds(found := self._ask("GET", f"/api/tasks/{task}")) and time.monotonic() < end:
            time.sleep(0.03)
        if holds(found):
            return found
        raise DemoFailed(
            f"after {JOB_LIMIT:.0f} s the task is still {found['state']}: {found['phase']}, {found['note']}"
        )

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, path, json=body) if body is not None else self._http.request(method, path)
        if not answer.is_success:
            raise DemoFailed(f"{method} {path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    def _line(self, text: str) -> None:
        now = time.monotonic()
        typer.echo(f"  {now - self._began:6.2f} s  (+{now - self._last:.2f})  {text}")
        self._last = now
