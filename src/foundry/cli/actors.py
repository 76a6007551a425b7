"""`foundry actors list | show`."""

from __future__ import annotations

from typing import Annotated

import typer

from foundry.cli.client import As, AsJson, Client, DataDir, Url, show

app = typer.Typer(no_args_is_help=True)


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Option(help="List only this kind.")] = None,
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the server's actors."""
    found = Client(url, login, data_dir, admin=True).ask("GET", "/api/actors", **({"kind": kind} if kind else {}))
    lines = (f"{a['kind']}:{a['key']}  version {a['version']}  parent {a['parent'] or '-'}" for a in found)
    show(found, as_json, lines)


@app.command("show")
def show_(
    kind: Annotated[str, typer.Argument(help="The actor's kind, for example Task.")],
    key: Annotated[str, typer.Argument(help="The actor's key, for example tsk_...")],
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Show one actor's row in the runtime."""
    show(Client(url, login, data_dir, admin=True).ask("GET", f"/api/actors/{kind}/{key}"), True)
