"""`foundry admin-token rotate`, on the machine of the data directory."""

from __future__ import annotations

import typer

from foundry.cli.client import Client, DataDir, Url, fail

app = typer.Typer(no_args_is_help=True)


@app.callback()
def admin_token() -> None:
    """Replace the local admin token."""


@app.command()
def rotate(url: Url = None, data_dir: DataDir = None) -> None:
    """Replace the admin token. A running server accepts the new one at once, and refuses the old one."""
    from foundry.api.admin_token import NAME, write_token
    from foundry.settings import load

    directory = load({"data_dir": data_dir} if data_dir else {}).settings.data_dir
    if not (directory / NAME).exists():
        raise fail(f"there is no admin token in {directory}", "Start the server once: foundry serve", "data_dir")
    write_token(directory)
    typer.echo(f"{directory / NAME} has a new token")
    client = Client(url, None, data_dir, admin=True)
    try:
        client.ask("GET", "/api/actors/AppShell/app")  # so that the server notices now, and ends the old one's streams
    except typer.Exit:
        typer.echo("No server has used the new token yet. One that runs uses it from the next request on.", err=True)
    else:
        typer.echo(f"the server at {client.url} uses it")
