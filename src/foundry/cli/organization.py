"""`foundry organization`: what belongs to a whole organization."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from foundry.cli.client import As, AsJson, Client, DataDir, Json, Url, show

app = typer.Typer(no_args_is_help=True)

Name = Annotated[str | None, typer.Argument(metavar="ORGANIZATION", help="Login or id. Default: the only one.")]


@app.callback()
def organization() -> None:
    """Show organizations and change their settings."""


@app.command("list")
def listed(login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the organizations that you may see."""
    found = Client(url, login, data_dir).ask("GET", "/api/app")["organizations"]
    show(found, as_json, (f"{one['login']}  {one['id']}" for one in found))


@app.command("show")
def shown(
    name: Name = None, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Show the settings, and how Foundry stands with GitHub."""
    client = Client(url, login, data_dir)
    id = client.organization(name)
    settings = client.ask("GET", f"/api/organizations/{id}/settings")
    github = client.ask("GET", f"/api/organizations/{id}/github")
    show({**settings, "github": github}, as_json, _lines(settings, github))


@app.command("set")
def changed(
    name: Name = None,
    public_work: Annotated[
        bool,
        typer.Option("--show-public-work/--hide-public-work", help="To everybody who may sign in, or to nobody else."),
    ] = ...,  # type: ignore[assignment]
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Change the settings. The organization's owners on GitHub may."""
    client = Client(url, login, data_dir)
    path = f"/api/organizations/{client.organization(name)}/settings"
    settings = client.ask("PUT", path, {"public_work": public_work})
    show(settings, as_json, iter([f"public work: {_public(settings)}"]))


def _lines(settings: Json, github: Json) -> Iterator[str]:
    state, budget = github["state"], github["budget"]
    yield f"you are: {settings['role']}"
    yield f"public work: {_public(settings)}"
    installed = "installed" if state["active"] else "not installed, or suspended"
    yield f"App: {installed}; last sync {state['synced_at'] or 'never'}"
    if state["failure"]:
        yield f"  {state['failure']}"
    if budget["limit"]:
        yield f"requests left in this hour: {budget['remaining']} of {budget['limit']} (floor {budget['floor']})"


def _public(settings: Json) -> str:
    return "shown to everybody who may sign in" if settings["public_work"] else "the organization's people only"
