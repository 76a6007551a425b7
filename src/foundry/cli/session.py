"""`foundry session ...`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from foundry.cli.client import As, AsJson, Client, DataDir, Json, Url, late, show

app = typer.Typer(no_args_is_help=True)
Session = Annotated[str, typer.Argument(help="The session's id, ses_...")]


def lines(session: Json) -> Iterator[str]:
    yield f"{session['id']}  {session['agent']}: {session['status']}"
    if session["trouble"]:
        yield f"  problem: {session['trouble']['message']}"
        yield f"  what to do: {session['trouble']['remedy']}"
    yield from late(session)
    for message in session["messages"]:
        yield f"  {message['state']}: {message['text'][:80]}"
    for permission in session["permissions"]:
        options = ", ".join(f"{o['id']} ({o['name']})" for o in permission["options"])
        yield f"  asks {permission['id']}: {permission['title']} [{options}]"


@app.command("show")
def show_(
    session: Session, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """One session, without its transcript (`foundry task logs`)."""
    found = Client(url, login, data_dir).ask("GET", f"/api/sessions/{session}")["session"]
    show(found, as_json, lines(found))


@app.command()
def send(
    session: Session,
    text: Annotated[str, typer.Argument(help="The message.")],
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """A message to the agent; queued while it runs."""
    found = Client(url, login, data_dir).ask("POST", f"/api/sessions/{session}/messages", {"text": text})
    show(found, as_json, lines(found))


@app.command()
def stop(
    session: Session, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """End the running prompt."""
    found = Client(url, login, data_dir).ask("POST", f"/api/sessions/{session}/stop")
    show(found, as_json, lines(found))


@app.command()
def resume(
    session: Session, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Connect to the agent again after an error."""
    found = Client(url, login, data_dir).ask("POST", f"/api/sessions/{session}/resume")
    show(found, as_json, lines(found))


@app.command("answer", hidden=True)
@app.command("permission")
def permission_(
    session: Session,
    permission: Annotated[str, typer.Argument(help="The request's id, prm_...")],
    option: Annotated[str, typer.Argument(help="One of its options.")],
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Answer a permission request."""
    path = f"/api/sessions/{session}/permissions/{permission}"
    found = Client(url, login, data_dir).ask("POST", path, {"option": option})
    show(found, as_json, lines(found))
