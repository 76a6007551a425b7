"""`foundry sandbox list | remove`, for the server's admin."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from foundry.cli.client import AsJson, Client, DataDir, Json, Url, show
from foundry.contracts.sizes import human

app = typer.Typer(no_args_is_help=True)


def lines(use: Json) -> Iterator[str]:
    """Yield the lines about sandboxes and their disk usage."""
    free = f"; {human(use['room']['free'])} of {human(use['room']['total'])} free" if use["room"] else ""
    yield f"{human(use['used'])} on disk{free}"
    for one in use["sandboxes"]:
        until = f", will be removed at {one['remove_at'][:19]}" if one["remove_at"] else ""
        yield f"  {one['id']}  {_size(one):>8}  {one['state']}  of {one['task']}{until}"
    if use["orphans"]:
        yield "orphans: no task owns these sandboxes, and they may hold work:"
    for one in use["orphans"]:
        more = ", being removed" if one["removing"] else ""
        more += f": {one['failure']}" if one["failure"] else ""
        yield f"  {one['id']}  {_size(one):>8}  first seen {one['since'][:19]}{more}"


def _size(one: Json) -> str:
    return "?" if one["disk"] is None else human(one["disk"])


@app.command("list")
def list_(url: Url = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List all sandboxes with their disk usage, and the orphans that no task owns."""
    found = Client(url, None, data_dir, admin=True).ask("GET", "/api/app/sandboxes")
    show(found, as_json, lines(found))


@app.command()
def remove(
    sandbox: Annotated[str, typer.Argument(help="The orphan's id, from `foundry sandbox list`.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Delete an orphan sandbox and everything in it. To remove a task's sandbox, archive the task."""
    client = Client(url, None, data_dir, admin=True)
    if not yes:
        typer.confirm(f"Delete {sandbox} and everything in it? This cannot be undone", abort=True)
    client.ask("DELETE", f"/api/app/sandboxes/{sandbox}")
    typer.echo(f"{sandbox} will be removed within a minute")
