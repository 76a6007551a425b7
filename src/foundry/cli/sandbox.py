"""`foundry sandbox list | remove`, for the server's admin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from foundry.cli.client import AsJson, Client, DataDir, Json, Url, show
from foundry.contracts.sizes import human

app = typer.Typer(no_args_is_help=True)


def lines(use: Json) -> Iterator[str]:
    """What sandboxes take on disk."""
    left = f"; {human(use['room']['free'])} of {human(use['room']['total'])} left" if use["room"] else ""
    yield f"{human(use['used'])} on disk{left}"
    for one in use["sandboxes"]:
        until = f", removed at {one['remove_at'][:19]}" if one["remove_at"] else ""
        yield f"  {one['id']}  {_size(one):>8}  {one['state']}  of {one['task']}{until}"
    if use["strays"]:
        yield "nobody uses these; work may be in them:"
    for one in use["strays"]:
        more = ", being removed" if one["removing"] else ""
        more += f": {one['trouble']}" if one["trouble"] else ""
        yield f"  {one['id']}  {_size(one):>8}  seen since {one['since'][:19]}{more}"


def _size(one: Json) -> str:
    return "?" if one["disk"] is None else human(one["disk"])


@app.command("list")
def list_(url: Url = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """The sandboxes there are, what they take on disk, and those that nobody uses."""
    found = Client(url, None, data_dir).ask("GET", "/api/app/sandboxes")
    show(found, as_json, lines(found))


@app.command()
def remove(
    sandbox: Annotated[str, typer.Argument(help="The id of one that nobody uses, as `sandbox list` shows it.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Delete a sandbox that nobody uses, with all that is in it. One of a task goes when that is archived."""
    client = Client(url, None, data_dir)
    if not yes:
        typer.confirm(f"Delete {sandbox} with everything in it? Nobody can bring it back", abort=True)
    client.ask("DELETE", f"/api/app/sandboxes/{sandbox}")
    typer.echo(f"{sandbox} is removed within a minute")
