"""`foundry actors list | show`."""

from __future__ import annotations

from typing import Annotated

import typer

from foundry.cli.client import As, AsJson, Client, DataDir, Url, show

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help="Only this kind.")] = None,
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """The actors of the server."""
    found = Client(url, login, data_dir).ask("GET", "/api/actors", **({"kind": kind} if kind else {}))
    show(found, as_json, (f"{a['kind']}:{a['key']}  version {a['version']}  below {a['parent'] or '-'}" for a in found))


@app.command("show")
def show_(kind: str, key: str, login: As = None, url: Url = None, data_dir: DataDir = None) -> None:
    """One actor's row."""
    show(Client(url, login, data_dir).ask("GET", f"/api/actors/{kind}/{key}"), True)
