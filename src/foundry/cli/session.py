"""`foundry session ...`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from foundry.cli.client import As, AsJson, Client, DataDir, Json, Url, overdue, show

app = typer.Typer(no_args_is_help=True)
Session = Annotated[str, typer.Argument(help="The session's id: ses_...")]


def lines(session: Json) -> Iterator[str]:
    yield f"{session['id']}  {session['agent']}: {session['status']}"
    if session["failure"]:
        yield f"  failure: {session['failure']['message']}"
        yield f"  what to do: {session['failure']['remedy']}"
    yield from overdue(session)
    for message in session["messages"]:
        yield f"  {message['state']}: {message['text'][:80]}"
    for permission in session["permissions"]:
        options = ", ".join(f"{o['id']} ({o['name']})" for o in permission["options"])
        yield f"  asks {permission['id']}: {permission['title']} [{options}]"


@app.command("show")
def show_(
    session: Session, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Show one session. `foundry task logs` shows its transcript."""
    found = Client(url, login, data_dir).ask("GET", f"/api/sessions/{session}")["session"]
    show(found, as_json, lines(found))


@app.command()
def send(
    session: Session,
    text: Annotated[str, typer.Argument(help="The message's text.")],
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Send a message to the agent. It is queued while an agent works on the task."""
    found = Client(url, login, data_dir).ask("POST", f"/api/sessions/{session}/messages", {"text": text})
    show(found, as_json, lines(found))


@app.command()
def stop(
    session: Session, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Stop the running prompt."""
    found = Client(url, login, data_dir).ask("POST", f"/api/sessions/{session}/stop")
    show(found, as_json, lines(found))


@app.command()
def resume(
    session: Session, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Start the agent again after a failure and connect to it."""
    found = Client(url, login, data_dir).ask("POST", f"/api/sessions/{session}/resume")
    show(found, as_json, lines(found))


@app.command("answer", hidden=True)
@app.command("permission")
def permission_(
    session: Session,
    permission: Annotated[str, typer.Argument(help="The permission request's id: prm_...")],
    option: Annotated[str, typer.Argument(help="The id of one of the request's options.")],
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Answer the agent's permission request."""
    path = f"/api/sessions/{session}/permissions/{permission}"
    found = Client(url, login, data_dir).ask("POST", path, {"option": option})
    show(found, as_json, lines(found))
