"""The CLI's way to a running server: HTTP with the local admin token, acting as a person."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

Json = Any

As = Annotated[str | None, typer.Option("--as", metavar="LOGIN", help="Act as this person.")]
Url = Annotated[str | None, typer.Option("--url", envvar="FOUNDRY_URL", help="The server; by default this machine's.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", help="The server's data directory, for its token.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def complain(detail: str, field: str | None, remedy: str) -> None:
    """Say on standard error what is wrong, with which input, and what to do."""
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    console.print(f"[bold red]error:[/] {detail}" + (f" [dim]({field})[/]" if field else ""))
    console.print(f"[dim]what to do:[/] {remedy}")


def fail(detail: str, remedy: str, field: str | None = None) -> typer.Exit:
    complain(detail, field, remedy)
    return typer.Exit(1)


class Client:
    """Asks a server; a problem it answers with ends the command."""

    def __init__(self, url: str | None, login: str | None, data_dir: Path | None) -> None:
        import httpx

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
        """The answer's JSON, None if it has none."""
        import httpx

        try:
            answer = self._http.request(method, path, json=body, params=params)
        except httpx.HTTPError as error:
            raise fail(f"{self.url} does not answer: {error}", "Start the server: foundry serve") from None
        if answer.is_success:
            return answer.json() if answer.content else None
        try:
            problem = answer.json()
        except ValueError:
            problem = {"detail": f"the server answered {answer.status_code}", "remedy": "Look at its log."}
        raise fail(problem["detail"], problem.get("remedy", ""), problem.get("field"))

    def watch(self, topic: str, id: str) -> Iterator[tuple[str, Json]]:
        """A topic's snapshot and events, as they come."""
        with self._http.stream("GET", "/api/realtime", params={"topic": topic, "id": id}, timeout=None) as answer:
            if not answer.is_success:
                answer.read()
                problem = answer.json()
                raise fail(problem["detail"], problem["remedy"])
            word = ""
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    word = line[7:]
                elif line.startswith("data: "):
                    yield word, json.loads(line[6:])

    def organization(self, wish: str | None) -> str:
        """The id of the organization meant: by id or login, or the only one."""
        known = self.ask("GET", "/api/app")["organizations"]
        found = [one for one in known if wish in (None, one["id"], one["login"])]
        if len(found) == 1:
            return found[0]["id"]
        names = ", ".join(one["login"] for one in known) or "none is visible"
        raise fail(f"which organization? {names}", "Name one with --organization.", "organization")


def show(data: Json, as_json: bool, lines: Iterator[str] | None = None) -> None:
    """Print as JSON, or as lines."""
    if as_json or lines is None:
        json.dump(data, sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    for line in lines:
        typer.echo(line)
