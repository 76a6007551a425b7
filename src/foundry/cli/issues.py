"""`foundry issues list | clear`."""

from __future__ import annotations

from typing import Annotated

import typer

from foundry.cli.client import As, AsJson, Client, DataDir, Url, show

app = typer.Typer(no_args_is_help=True)
Organization = Annotated[str | None, typer.Option("--organization", "-o", help="The organization's login or id.")]
OfApp = Annotated[bool, typer.Option("--app", help="Only the server's own issues, which belong to no organization.")]


def _path(client: Client, organization: str | None, of_app: bool) -> str:
    return "/api/app/issues" if of_app else f"/api/organizations/{client.organization(organization)}/issues"


@app.command("list")
def list_(
    organization: Organization = None,
    of_app: OfApp = False,
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List runtime issues: what failed, where, and what to do."""
    client = Client(url, login, data_dir)
    found = client.ask("GET", _path(client, organization, of_app))
    shown = (
        f"{one['id']}  {one['failure']['kind']} {one['failure']['actor']} {one['failure']['workflow']}"
        f" {one['failure']['step']}: {one['failure']['message']}\n  what to do: {one['failure']['remedy']}"
        for one in found
    )
    show(found, as_json, shown)


@app.command()
def clear(
    issue: Annotated[str | None, typer.Argument(help="The issue's id. Default: all issues.")] = None,
    organization: Organization = None,
    of_app: OfApp = False,
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Clear one runtime issue, or all of them."""
    client = Client(url, login, data_dir)
    path = _path(client, organization, of_app) + (f"/{issue}" if issue else "")
    typer.echo(f"{client.ask('DELETE', path)['cleared']} cleared")
