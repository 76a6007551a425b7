"""One stand-in for all tests of a file, and what a client and a person do with it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx2 as httpx
import pytest

from foundry.devkit.github import RunningGitHub, running_github

TALLY = "/repos/lumen-works/tally"
WAIT = 10.0  # seconds for anything that happens in the background
T = TypeVar("T")
NAMES = itertools.count(1)


@dataclass
class Hub:
    """A client of the stand-in as the App's installation on lumen-works, unless it says otherwise."""

    server: RunningGitHub
    http: httpx.Client
    tokens: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def control(self) -> Callable[..., Any]:
        return self.server.control

    def token(self, installation: int = 3001) -> str:
        key = str(installation)
        if key not in self.tokens:
            self.tokens[key] = self.server.token(installation)
        return self.tokens[key]

    def person(self, login: str) -> str:
        """A person's token, by signing in as a browser does."""
        if login not in self.tokens:
            self.tokens[login] = sign_in(self, login)["access_token"]
        return self.tokens[login]

    def api(
        self, method: str, path: str, body: object = None, *, token: str | None = None, **headers: str
    ) -> httpx.Response:
        token = self.token() if token is None else token
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"Authorization": f"Bearer {token}"} if token else {}
        return self.http.request(method, f"{self.server.api}{path}", json=body, headers=sent)

    def get(self, path: str, **given: Any) -> Any:
        answer = self.api("GET", path, **given)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def branch(self, name: str | None = None, *, files: dict[str, str] | None = None, base: str = "main") -> str:
        """A branch with one commit, pushed; gives its name."""
        name = name or f"topic-{next(NAMES)}"
        self.push(name, files or {f"{name.replace('/', '-')}.txt": name}, base=base)
        return name

    def push(self, branch: str, files: dict[str, str], *, base: str | None = None) -> str:
        """Commit files on the branch and push it, through a clone of this test's own; gives the commit."""
        clone = self.clone(branch=base or branch)
        for path, content in files.items():
            (clone / path).parent.mkdir(parents=True, exist_ok=True)
            (clone / path).write_text(content)
        git("checkout", "-q", "-B", branch, cwd=clone)
        git("add", ".", cwd=clone)
        git("commit", "-qm", f"Work on {branch}", cwd=clone)
        git("push", "-q", "origin", f"{branch}:{branch}", cwd=clone)
        return git("rev-parse", "HEAD", cwd=clone)

    def url(self, token: str, name: str = "lumen-works/tally") -> str:
        login = f"x-access-token:{token}@" if token else ""
        return f"{self.server.url.replace('://', f'://{login}')}/{name}.git"

    def clone(self, *, branch: str = "main") -> Path:
        where = self.server.directory / "clones" / str(next(NAMES))
        where.parent.mkdir(exist_ok=True)
        git("clone", "-q", "--branch", branch, self.url(self.token()), str(where), cwd=self.server.directory)
        return where

    def pull(self, branch: str | None = None, **wish: object) -> dict[str, Any]:
        """An open pull request."""
        head = branch or self.branch()
        answer = self.api("POST", f"{TALLY}/pulls", {"title": f"From {head}", "head": head, "base": "main"} | wish)
        assert answer.status_code == 201, answer.text
        return answer.json()


def wait_for(look: Callable[[], T], until: Callable[[T], bool] = bool) -> T:
    """What `look` gives once `until` holds of it."""
    end = time.monotonic() + WAIT
    while not until(value := look()):
        assert time.monotonic() < end, f"still {value!r} after {WAIT} s"
        time.sleep(0.01)
    return value


def sign_in(hub: Hub, login: str, **query: str) -> dict[str, Any]:
    """The web flow, from the page to the token."""
    app = hub.server.identity
    form = {"client_id": app["client_id"], "redirect_uri": "http://127.0.0.1:1/back", "state": "s", **query}
    chosen = hub.http.post(f"{hub.server.url}/login/oauth/choose", data=form | {"login": login})
    code = httpx.URL(chosen.headers["location"]).params["code"]
    fields = {"client_id": app["client_id"], "client_secret": app["client_secret"], "code": code}
    answer = hub.http.post(
        f"{hub.server.url}/login/oauth/access_token", data=fields, headers={"Accept": "application/json"}
    )
    hub.http.cookies.clear()
    return answer.json()


def git(*words: str, cwd: Path, fails: bool = False) -> str:
    """Run git as nobody in particular; gives what it printed, or its complaint where it is to fail."""
    env = {
        "PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Grace", "GIT_AUTHOR_EMAIL": "1002+grace@users.noreply.github.test",
        "GIT_COMMITTER_NAME": "Grace", "GIT_COMMITTER_EMAIL": "1002+grace@users.noreply.github.test",
    }  # fmt: skip
    done = subprocess.run(["git", *words], cwd=cwd, env=env, capture_output=True, text=True, timeout=30)
    assert (done.returncode != 0) == fails, done.stderr
    return (done.stderr if fails else done.stdout).strip()


@dataclass
class Received:
    event: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(self.raw)


@dataclass
class Listener:
    """Where webhooks arrive."""

    url: str
    got: list[Received] = field(default_factory=list[Received])
    status: int = 202

    def wait(self, event: str, action: str | None = None, *, number: int = 1) -> Received:
        """The `number`-th of these, once it is there."""

        def seen() -> list[Received]:
            return [
                r for r in list(self.got) if r.event == event and (action is None or r.body.get("action") == action)
            ]

        return wait_for(seen, lambda found: len(found) >= number)[number - 1]

    def events(self) -> list[str]:
        return [r.event + (f".{r.body['action']}" if "action" in r.body else "") for r in list(self.got)]


@contextmanager
def listening() -> Iterator[Listener]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            listener.got.append(Received(self.headers["X-GitHub-Event"], dict(self.headers), raw))
            self.send_response(listener.status)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listener = Listener(f"http://127.0.0.1:{server.server_port}/hooks")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serving(directory: Path, **given: Any) -> Iterator[Hub]:
    with running_github(directory, **given) as server, httpx.Client(trust_env=False, timeout=20) as http:
        yield Hub(server, http)


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with serving(tmp_path_factory.mktemp("github")) as made:
        yield made


@pytest.fixture
def hooks(hub: Hub) -> Iterator[Listener]:
    """The stand-in's webhooks come here."""
    with listening() as listener:
        hub.control("PUT", "webhook", {"url": listener.url})
        yield listener
        hub.control("PUT", "webhook", {"url": None})
