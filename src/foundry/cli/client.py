"""How the CLI reaches a running server: HTTP with the local admin token, acting as a person."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Any

SILENCE = 45.0  # seconds; the server sends a keep-alive every 15
RETRY = 1.0  # seconds before the CLI reconnects

As = Annotated[str | None, typer.Option("--as", metavar="LOGIN", help="Act as this person.")]
Url = Annotated[
    str | None,
    typer.Option("--url", envvar="FOUNDRY_URL", help="The server's address. Default: the server on this machine."),
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
    """A client of one server. A problem response ends the command."""

    def __init__(self, url: str | None, login: str | None, data_dir: Path | None) -> None:
        import httpx2 as httpx

        from foundry.settings import load

        settings = load({"data_dir": data_dir} if data_dir else {}).settings
        self.url = (url or settings.url).rstrip("/")
        token = settings.data_dir / "admin.token"
        if not token.exists():
            raise fail(f"there is no admin token in {settings.data_dir}", "Start the server: foundry serve", "data_dir")
        headers = {"Authorization": f"Bearer {token.read_text().strip()}"}
        if login:
            headers["X-Foundry-As"] = login
        self._http = httpx.Client(base_url=self.url, headers=headers, timeout=30.0)

    def ask(self, method: str, path: str, body: Json = None, **params: Any) -> Json:
        """Send one request. Returns the response's JSON, or None if it has no body."""
        import httpx2 as httpx

        from foundry.contracts.ids import new_id

        headers = {"Idempotency-Key": new_id("key")} if method == "POST" else {}
        try:
            answer = self._http.request(method, path, json=body, params=params, headers=headers)
        except httpx.HTTPError as error:
            raise fail(f"{self.url} does not answer: {error}", "Start the server: foundry serve") from None
        if answer.is_success:
            return answer.json() if answer.content else None
        raise self._problem(answer)

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
                        raise self._problem(answer)
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

    def _problem(self, answer: Any) -> typer.Exit:
        """Print the server's problem response."""
        try:
            problem = answer.json()
        except ValueError:
            problem = {"detail": f"the server answered {answer.status_code}", "remedy": "Look at the server's log."}
        return fail(problem["detail"], problem.get("remedy", ""), problem.get("field"))

    def organization(self, wish: str | None) -> str:
        """Return the id of the organization with this id or login; without one, of the only organization."""
        known = self.ask("GET", "/api/app")["organizations"]
        found = [one for one in known if wish in (None, one["id"], one["login"])]
        if len(found) == 1:
            return found[0]["id"]
        names = ", ".join(one["login"] for one in known) or "you can see none"
        raise fail(f"which organization? {names}", "Name one with --organization.", "organization")


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
