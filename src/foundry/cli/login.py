"""`foundry login` and `foundry logout`: an API token for this command line, approved in a browser (RFC 8628)."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from foundry.cli import credentials
from foundry.cli.client import Client, Url, fail

SLOWER = 5.0  # seconds that the server adds to the interval when it says slow_down
SCOPES = ["read", "write", "approve"]

Scopes = Annotated[
    list[str] | None, typer.Option("--scope", help="read, write or approve; may be repeated. Default: all three.")
]


def login(
    url: Url = None,
    scope: Scopes = None,
    name: Annotated[str | None, typer.Option("--name", help="The token's name. Default: this machine's.")] = None,
) -> None:
    """Sign this command line in. Approve it in a browser; nobody types a password or copies a token."""
    import platform
    from urllib.parse import urlsplit

    from foundry.settings import loopback

    client, scopes = Client.anonymous(url), scope or SCOPES
    if client.url.startswith("http:") and not loopback(urlsplit(client.url).hostname or ""):
        typer.echo(f"warning: {client.url} is not https, so others on the network can read the token", err=True)
    device = name or f"foundry on {platform.node() or 'a machine'}"[:80]
    begun = client.ask("POST", "/api/login/device", {"device_name": device, "scopes": scopes})
    typer.echo(f"Open {begun['verification_uri_complete']}")
    typer.echo(f"and check that it shows the code {begun['user_code']}.")
    token = _poll(client, begun)
    path = credentials.save(client.url, token)
    typer.echo(f"Signed in to {client.url}. The token is in {path}.")


def _poll(client: Client, begun: dict[str, object]) -> str:
    """Ask until the person has answered.

    Raises:
        typer.Exit: they denied it, or the code has expired.
    """
    interval, body = float(str(begun["interval"])), {"device_code": begun["device_code"]}
    while True:
        time.sleep(interval)
        found, problem = client.tried("POST", "/api/login/device/token", body)
        if problem is None:
            return found["access_token"]
        match problem["code"]:
            case "authorization_pending":
                continue
            case "slow_down":
                interval += SLOWER
            case _:
                raise fail(problem["detail"], problem["remedy"], problem["field"])


def logout() -> None:
    """Revoke this command line's token and delete it."""
    known = credentials.load()
    if known is None:
        raise fail("this command line is not signed in", "Sign in: foundry login")
    try:
        _, problem = Client.with_token(known.url, known.token).tried("DELETE", "/api/me/tokens/current")
    except typer.Exit:
        credentials.forget()
        typer.echo("The token is deleted here, but the server still accepts it: revoke it on the page", err=True)
        typer.echo(f"{known.url}/settings/sessions", err=True)
        raise
    credentials.forget()
    if problem is not None and problem["status"] != 401:
        raise fail(problem["detail"], problem["remedy"], problem["field"])
    typer.echo(f"Signed out of {known.url}")
