"""How the CLI reaches a running server: HTTP, with the API token of `foundry login` or the local admin token."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from foundry.cli import credentials

Json = Any

SILENCE = 45.0  # seconds; the server sends a keep-alive every 15
RETRY = 1.0  # seconds before the CLI reconnects

As = Annotated[
    str | None, typer.Option("--as", metavar="LOGIN", help="Act as this person, with the local admin token.")
]
Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        envvar="FOUNDRY_URL",
        help="The server's address. Default: that of the login, else this machine's.",
    ),
]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="The server's data directory, which holds the admin token.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def complain(detail: str, field: str | None, remedy: str) -> None:
    """Print to standard error what is wrong, which input is at fault, and the remedy."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    console.print(f"[bold red]error:[/] {detail}" + (f" [dim]({field})[/]" if field else ""))
    console.print(f"[dim]what to do:[/] {remedy}")


def fail(detail: str, remedy: str, field: str | None = None) -> typer.Exit:
    complain(detail, field, remedy)
    return typer.Exit(1)


class Client:
    """A client of one server. A problem response ends the command.

    It uses the token of `foundry login` for the server of that login. It uses the local admin token if `--as` names a
    person or `--data-dir` a directory, for another server, or if there was no login.

    Args:
        url: the server. None: the one of the login, else the server on this machine.
        login: the person that the admin token acts as.
        admin: the command needs the admin token.
    """

    def __init__(self, url: str | None, login: str | None, data_dir: Path | None, *, admin: bool = False) -> None:
        from foundry.settings import load

        stored = None if admin or login or data_dir else credentials.load()
        if stored is not None and (url is None or url.rstrip("/") == stored.url):
            self._open(stored.url, stored.token)
            return
        settings = load({"data_dir": data_dir} if data_dir else {}).settings
        if url and data_dir is None and not _on_this_machine(url, settings.url):
            remedy = f"Sign in there: foundry login --url {url}. Or name the data directory whose token is meant."
            raise fail("the admin token of this machine is not sent to another server", remedy, "url")
        token = settings.data_dir / "admin.token"
        if not token.exists():
            remedy = "Start the server: foundry serve. For a server elsewhere, sign in: foundry login --url ADDRESS"
            raise fail(f"there is no admin token in {settings.data_dir}", remedy, "data_dir")
        self._open(url or settings.url, token.read_text().strip(), login)

    def _open(self, url: str, token: str = "", login: str | None = None) -> None:
        import httpx2 as httpx

        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if login:
            headers["X-Foundry-As"] = login
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=30.0)

    @classmethod
    def anonymous(cls, url: str | None) -> Client:
        """Return a client that has no token."""
        from foundry.settings import load

        client = cls.__new__(cls)
        client._open(url or load().settings.url)
        return client

    @classmethod
    def with_token(cls, url: str, token: str) -> Client:
        """Return a client with this API token."""
        client = cls.__new__(cls)
        client._open(url, token)
        return client

    def ask(self, method: str, path: str, body: Json = None, **params: Any) -> Json:
        """Send one request. Returns the response's JSON, or None if it has no body."""
        found, problem = self.tried(method, path, body, **params)
        if problem is not None:
            raise fail(problem["detail"], problem["remedy"], problem["field"])
        return found

    def tried(self, method: str, path: str, body: Json = None, **params: Any) -> tuple[Json, Json]:
        """The same, but returns a problem response as the second value."""
        import httpx2 as httpx

        from foundry.contracts.ids import new_id

        headers = {"Idempotency-Key": new_id("key")} if method == "POST" else {}
        try:
            answer = self._http.request(method, path, json=body, params=params, headers=headers)
        except httpx.HTTPError as error:
            raise fail(f"{self.url} does not answer: {error}", "Start the server: foundry serve") from None
        if answer.is_success:
            return (answer.json() if answer.content else None), None
        return None, self._problem(answer)

    def watch(self, topic: str, id: str) -> Iterator[tuple[str, Json]]:
        """Subscribe to a topic: yields the snapshot, then each event. After a broken connection it resumes."""
        import time

        import httpx2 as httpx

        last = ""
        while True:
            headers = {"Last-Event-ID": last} if last else {}
            params = {"topic": topic, "id": id}
            try:
                with self._http.stream(
                    "GET", "/api/realtime", params=params, headers=headers, timeout=SILENCE
                ) as answer:
                    if not answer.is_success:
                        answer.read()
                        problem = self._problem(answer)
                        raise fail(problem["detail"], problem["remedy"], problem["field"])
                    word = ""
                    for line in answer.iter_lines():
                        if line.startswith("id: "):
                            last = line[4:]
                        elif line.startswith("event: "):
                            word = line[7:]
                        elif line.startswith("data: "):
                            data = json.loads(line[6:])
                            if word == "closed":
                                raise fail(data["detail"], data["remedy"], data["field"])
                            yield word, data
            except httpx.TransportError:
                if not last:
                    raise fail(f"{self.url} does not answer", "Start the server: foundry serve") from None
            typer.echo("(connection lost; reconnecting)", err=True)
            time.sleep(RETRY)

    def _problem(self, answer: Any) -> Json:
        """Return the server's problem response."""
        found: Json = {"code": "", "status": answer.status_code, "remedy": "Look at the server's log.", "field": None}
        found["detail"] = f"the server answered {answer.status_code}"
        try:
            return {**found, **answer.json()}
        except (ValueError, TypeError):
            return found

    def organization(self, wish: str | None) -> str:
        """Return the id of the organization with this id or login; without one, of the only organization."""
        known = self.ask("GET", "/api/app")["organizations"]
        found = [one for one in known if wish in (None, one["id"], one["login"])]
        if len(found) == 1:
            return found[0]["id"]
        names = ", ".join(one["login"] for one in known) or "you can see none"
        raise fail(f"which organization? {names}", "Name one with --organization.", "organization")


def _on_this_machine(url: str, ours: str) -> bool:
    """Return True if this is the server of this machine, or one that listens on its loopback."""
    from urllib.parse import urlsplit

    from foundry.settings import loopback

    return url.rstrip("/") == ours or loopback(urlsplit(url).hostname or "")


def show(data: Json, as_json: bool, lines: Iterator[str] | None = None) -> None:
    """Print the data as JSON, or as lines."""
    if as_json or lines is None:
        json.dump(data, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    for line in lines:
        typer.echo(line)


def overdue(found: Json) -> Iterator[str]:
    """Yield the lines about a task's or session's overdue state, if it has one."""
    if state := found["overdue"]:
        yield f"  overdue: {state['what']} since {state['since']}: {state['reason']}"
        yield f"  what to do: {state['remedy']} ({', '.join(state['actions'])})"
