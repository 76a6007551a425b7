"""`foundry config check | rotate-key`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from foundry.cli.client import Client, DataDir, Json, Url, fail

ROUTE = "/api/app/secret-keys"

app = typer.Typer(no_args_is_help=True)


@app.callback()
def config() -> None:
    """Show the settings, and rotate the key that protects stored tokens."""


@app.command()
def check(file: Annotated[Path | None, typer.Option("--config", help="A TOML file with settings.")] = None) -> None:
    """Print each setting's current value and its source. Secrets are masked."""
    from rich.console import Console
    from rich.table import Table

    from foundry.settings import load

    loaded = load(config=file)
    table = Table("setting", "value", "source", "description")
    for row in loaded.rows():
        table.add_row(*row)
    Console().print(table)
    for warning in loaded.warnings:
        typer.echo(f"warning: {warning}", err=True)


@app.command("rotate-key")
def rotate_key(
    drop_old: Annotated[
        bool, typer.Option("--drop-old", help="Remove older keys, once nothing is sealed under them.")
    ] = False,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Seal all stored secrets under a new key. The running server does it; nothing has to be stopped.

    1. Add a key to the key file; an unfinished rotation is continued instead. With FOUNDRY_SECRET_KEY the variable has
    the new key already. 2. Seal everything again. 3. With --drop-old, which adds no key: remove the older keys.
    """
    client = Client(url, None, data_dir)
    found = client.ask("GET", ROUTE)
    if found["source"] == "file" and not drop_old and not found["older"]:
        found = client.ask("POST", ROUTE)
        typer.echo("a new key is in front")
    while left := found["older"]:
        found = client.ask("POST", f"{ROUTE}/resealing")
        typer.echo(f"{found['newest']} sealed under the newest key, {found['older']} to go")
        if found["older"] >= left:
            raise fail(f"{left} secrets cannot be sealed again", "Look at the server's log.")
    for line in _after(found, drop_old):
        typer.echo(line)
    if drop_old and found["source"] == "file":
        typer.echo(f"{client.ask('DELETE', f'{ROUTE}/older')['keys']} key is left")


def _after(found: Json, drop_old: bool) -> Iterator[str]:
    """What to do next."""
    if found["unreadable"]:
        yield f"{found['unreadable']} secrets are sealed under a key that this server does not have"
    if found["source"] == "file":
        if not drop_old:
            yield "Everything is sealed under the new key. Remove the older ones: foundry config rotate-key --drop-old"
    elif found["keys"] == 1:
        yield "FOUNDRY_SECRET_KEY has one key. To rotate it, put a new key and a comma in front of it, restart the"
        yield "server, and run this again. docs/operations.md has the order for several servers."
    else:
        yield "Everything is sealed under the first key of FOUNDRY_SECRET_KEY. Remove the others; restart the server."
