"""`foundry demo`: run the whole workflow once, with real parts, on this machine alone; then keep running.

The demo starts the stand-in GitHub and a Foundry as child processes, signs in as a sample person, and opens a task for
the scripted agent. It answers the agent's question, merges the pull request, and waits until the task is archived. When
the demo exits, it stops its servers and sandboxes. Files are kept, and the next demo continues with them.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from foundry.cli import demo_processes
from foundry.cli.child_servers import ChildServer, ServerFailed, free_port
from foundry.cli.demo_processes import DemoRuns, SandboxesLeft, counted

PORT = 7741
PERSON = "ada"
AGENT = "mock"  # the scripted agent
REPOSITORY = "lumen-works/tally"
START_LIMIT = 120.0  # seconds; the first start installs sandbox-agent
JOB_LIMIT = 60.0  # seconds that the whole workflow may take
STAND_INS = ("acp", "jwt")  # modules that the extra `devkit` brings
STOP_LIMIT = 8.0  # seconds that Foundry may take to stop its sandboxes gracefully; then the demo ends them


class DemoFailed(Exception):
    """The workflow did not finish. The text says why."""


def _default_dir() -> Path:
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "foundry-demo"


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Exit after the workflow. Prints `demo: ok` or the reason.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port to listen on. If it is taken, the demo uses another.")] = PORT,
    data_dir: Annotated[Path | None, typer.Option(help="The directory of the demo's files.")] = None,
    clean: Annotated[
        bool, typer.Option("--clean", help="Only end what a killed demo left running. Files are kept.")
    ] = False,
) -> None:
    """Run the whole workflow once on this machine. It needs no account and no key."""
    home = (data_dir or _default_dir()).absolute()
    try:
        if clean:
            _clean(home)
        else:
            home.mkdir(parents=True, exist_ok=True)
            _listen_to_signals()
            _check_installed()
            with demo_processes.only_demo(home):
                _run(home, port, once)
    except (DemoFailed, DemoRuns, SandboxesLeft, ServerFailed) as error:
        typer.echo(f"demo: {error}", err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("demo: stopped")
        raise typer.Exit(130 if once else 0) from None
    if once and not clean:
        typer.echo("demo: ok")


def _run(home: Path, port: int, once: bool) -> None:
    """Run the workflow. Without `once`, keep running until somebody stops the demo."""
    _end_servers(home)
    with _sandboxes(home), _github(home) as (hub, github), _foundry(home, port) as (house, url):
        job = Walkthrough(url, github, home)
        try:
            job.run()
            typer.echo("")
            typer.echo(f"Foundry:          {url}   (sign in as any sample person)")
            typer.echo(f"Stand-in GitHub:  {github}")
            if once:
                return
            typer.echo("Ctrl-C stops the demo and its sandboxes. Files are kept for the next demo.")
            while True:
                time.sleep(1)
                hub.keep_up()
                house.keep_up()
        finally:
            job.stop_sandboxes()


def _listen_to_signals() -> None:
    """Stop the demo gracefully on SIGINT, SIGTERM and a closed terminal.

    Shells make a process ignore SIGINT if a script starts it with `&`; the demo handles SIGINT then too. It keeps
    ignoring SIGHUP if it was started that way, because `nohup` is for that.
    """
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _interrupt)


def _check_installed() -> None:
    """Raise DemoFailed if the extra `devkit` is missing. The stand-ins are other processes and would only log it."""
    if not all(map(importlib.util.find_spec, STAND_INS)):
        raise DemoFailed('the stand-in GitHub and agent are not installed. Run: pip install "foundry[devkit]"')


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _clean(home: Path) -> None:
    """End the servers and sandboxes that a killed demo left running. Raises DemoRuns, SandboxesLeft."""
    if not any((home / part).is_dir() for part in ("data", "github")):
        typer.echo(f"demo: there is no demo in {home}")
        return
    with demo_processes.only_demo(home):
        servers, sandboxes = _end_servers(home), demo_processes.end_sandboxes(home)
    if sandboxes:
        typer.echo(f"demo: ended {sandboxes}")
    if not servers and not sandboxes:
        typer.echo(f"demo: nothing was left running in {home}")


def _end_servers(home: Path) -> int:
    """End the servers that a killed demo left running, and print that. Returns their number."""
    if servers := demo_processes.end_servers(home):
        typer.echo(f"demo: ended {counted(servers, 'server', 's')} that an earlier demo left running")
    return servers


@contextmanager
def _sandboxes(home: Path) -> Iterator[None]:
    """End all processes of the sandboxes after the servers have exited. Takes a few seconds and ignores signals."""
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        try:
            if ended := demo_processes.end_sandboxes(home):
                typer.echo(f"demo: ended {ended}")
        except SandboxesLeft as left:
            typer.echo(f"demo: {left}", err=True)  # the caller prints why the demo exits


# the servers


@contextmanager
def _github(home: Path) -> Iterator[tuple[ChildServer, str]]:
    typer.echo("demo: starting the stand-in GitHub")
    directory = home / "github"
    port = _last_port(directory / "app.json") or free_port()
    yield from _running(
        ChildServer(
            "the stand-in GitHub",
            ["foundry.devkit.github", "--dir", str(directory), "--port", str(port)],
            home / "github.log",
            ready=lambda line: json.loads(line)["ready"],
            env={demo_processes.MARK: str(home)},
        )
    )


def _last_port(known: Path) -> int | None:
    """The port the stand-in had last time, if it is free: clones that exist point there."""
    try:
        return free_port(int(json.loads(known.read_text())["web_url"].rpartition(":")[2]))
    except (OSError, ValueError, KeyError):
        return None


@contextmanager
def _foundry(home: Path, port: int) -> Iterator[tuple[ChildServer, str]]:
    app = json.loads((home / "github" / "app.json").read_text())
    env = {
        demo_processes.MARK: str(home),
        "FOUNDRY_DATA_DIR": str(home / "data"),
        "FOUNDRY_GITHUB_APP_ID": app["app_id"],
        "FOUNDRY_GITHUB_APP_PRIVATE_KEY": app["private_key"],
        "FOUNDRY_GITHUB_CLIENT_ID": app["client_id"],
        "FOUNDRY_GITHUB_CLIENT_SECRET": app["client_secret"],
        "FOUNDRY_GITHUB_WEBHOOK_SECRET": app["webhook_secret"],
        "FOUNDRY_GITHUB_API_URL": app["api_url"],
        "FOUNDRY_GITHUB_WEB_URL": app["web_url"],
        "FOUNDRY_DEFAULT_AGENT": AGENT,
        "FOUNDRY_AUTO_PUBLISH": "true",
        "FOUNDRY_DEVKIT_SIGN_IN": "true",
        "FOUNDRY_HOST": "127.0.0.1",
        "FOUNDRY_DATABASE_URL": "",
        "FOUNDRY_PUBLIC_URL": "",
    }
    env["FOUNDRY_AGENT_LAUNCHERS"] = json.dumps(_launchers(env))
    if (free := free_port(port)) is None:
        typer.echo(f"demo: port {port} is taken; taking another")
        free = free_port()
    typer.echo("demo: starting Foundry")
    said = "Foundry listens on "
    yield from _running(
        ChildServer(
            "Foundry",
            ["foundry.cli", "serve", "--port", str(free)],
            home / "foundry.log",
            ready=lambda line: line.removeprefix(said).strip() if line.startswith(said) else None,
            env=env,
        )
    )


def _launchers(env: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the scripted agent as `mock`, and the launchers of the person's own settings, which take precedence.

    Raises:
        BadSetting: a setting has an invalid value.
    """
    from foundry.settings import load

    own = load(environ={**os.environ, **env}).settings.agent_launchers
    if own:
        typer.echo(f"demo: agents with your own launcher: {', '.join(sorted(own))}")
    if AGENT in own:
        typer.echo(f"demo: your launcher runs {AGENT} instead of the scripted agent; the workflow may fail")
    return {AGENT: [sys.executable, "-m", "foundry.devkit.agent"]} | own


def _running(server: ChildServer) -> Iterator[tuple[ChildServer, str]]:
    try:
        yield server, server.start()
    finally:
        server.stop()


# the job


class Walkthrough:
    """A person's way through the main job, over HTTP as a browser or program would go it."""

    def __init__(self, url: str, github: str, home: Path) -> None:
        import httpx2 as httpx

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

    def stop_sandboxes(self) -> None:
        """Have Foundry save the work of sandboxes with idle agents and stop them. The next message starts them again.

        Skips sandboxes with working agents, sandboxes that this person may not see, and those that take longer than
        STOP_LIMIT.
        """
        import httpx2 as httpx

        end = time.monotonic() + STOP_LIMIT
        try:
            paths = [f"/api/organizations/{one['id']}/tasks" for one in self._ask("GET", "/api/app")["organizations"]]
            tasks = [f"/api/tasks/{task['id']}" for path in paths for task in self._ask("GET", path)]
            if tasks := self._to_stop(tasks):
                typer.echo("demo: saving the sandboxes' work and stopping them (Ctrl-C: stop at once)")
            while tasks and time.monotonic() < end:
                for task in tasks:
                    self._http.post(f"{task}/idle-stop")  # refused while a checkpoint is saved; the loop asks again
                time.sleep(0.2)
                tasks = self._to_stop(tasks)
        except (DemoFailed, httpx.HTTPError):
            return  # Foundry has exited, or nobody has signed in yet

    def _to_stop(self, tasks: list[str]) -> list[str]:
        """Return the tasks whose sandbox runs and whose agent is idle."""
        seen = {task: self._ask("GET", task) for task in tasks}
        return [t for t, found in seen.items() if found["activity"] == "idle" and not found["sandbox_stopped"]]

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
                failure = found["failure"]
                raise DemoFailed(f"{found['phase']} failed: {failure['message']} {failure['remedy']}")
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
        import httpx2 as httpx

        try:
            answer = self._http.request(method, path, **({} if body is None else {"json": body}))
        except httpx.TransportError as error:
            raise DemoFailed(f"{method} {path} was not answered: {error}; see {self._home / 'foundry.log'}") from None
        if not answer.is_success:
            raise DemoFailed(f"{method} {path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    def _line(self, text: str) -> None:
        now = time.monotonic()
        typer.echo(f"  {now - self._began:6.2f} s  (+{now - self._last:.2f})  {text}")
        self._last = now
