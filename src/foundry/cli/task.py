"""`foundry task ...`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from foundry.cli.client import As, AsJson, Client, DataDir, Json, Url, overdue, show

app = typer.Typer(no_args_is_help=True)
Task = Annotated[str, typer.Argument(help="The task's id: tsk_...")]
Organization = Annotated[str | None, typer.Option("--organization", "-o", help="The organization's login or id.")]


def lines(task: Json) -> Iterator[str]:
    """Yield a few lines that describe a task."""
    yield f"{task['id']}  {task['title']}"
    where = f"{task['repository']['owner']}/{task['repository']['name']}"
    yield f"  {where} {task['branch'] or '(no branch yet)'} from {task.get('base', '')}"
    yield f"  {task['state']}: {task['phase']} since {task['phase_since']}" + (
        f", attempt {task['attempt']}" if task.get("attempt", 1) > 1 else ""
    )
    if rename := task.get("rename"):
        doing = "cancelling the rename" if rename["giving_up"] else "renaming" if task["renaming"] else "rename failed"
        yield f"  {doing}: {rename['old']} to {rename['new']}, {rename['step']}"
    if task["failure"]:
        yield f"  failure: {task['failure']['message']}"
        yield f"  what to do: {task['failure']['remedy']}"
    yield from overdue(task)
    if task.get("remove_at"):
        yield f"  sandbox will be removed at {task['remove_at'][:19]}"
        yield f"  to remove it now: foundry task release {task['id']}"
    if task.get("retained"):
        yield f"  sandbox is retained: {task['kept']}"
    if task.get("sandbox_stopped"):
        yield "  sandbox is stopped because nobody used it; it starts on the next message"
    for session in task.get("sessions", []):
        yield f"  session {session['id']} {session['agent']}: {session['status']}"
    if pull := task["pull_request"]:
        yield f"  pull request #{pull['number']} {pull['state']} {pull['url']}"
    if (upstream := task.get("upstream")) and upstream["said"]:
        yield f"  {upstream['said']}"
        if upstream["state"] == "ahead":
            todo = f"to fetch them: foundry task fetch {task['id']}"
            yield f"  {'fetching them now' if task['fetching'] else todo}"
    if task.get("note"):
        yield f"  {task['note']}"


@app.command()
def create(
    repository: Annotated[str, typer.Argument(help="The repository: owner/name or its id.")],
    prompt: Annotated[str, typer.Argument(help="What the agent should do. - reads standard input.")],
    organization: Organization = None,
    title: Annotated[str | None, typer.Option(help="The task's title. Default: taken from the prompt.")] = None,
    branch: Annotated[str | None, typer.Option(help="The branch's name. Default: taken from the title.")] = None,
    base: Annotated[
        str | None, typer.Option(help="The branch to start from. Default: the repository's default branch.")
    ] = None,
    agent: Annotated[str | None, typer.Option(help="The agent to use. Default: the server's setting.")] = None,
    auto_publish: Annotated[
        bool | None, typer.Option(help="Publish when the agent ends its turn with new commits.")
    ] = None,
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a task."""
    client = Client(url, login, data_dir)
    wish = {
        "repository": repository, "prompt": sys.stdin.read() if prompt == "-" else prompt, "title": title,
        "branch": branch, "base": base, "agent": agent, "auto_publish": auto_publish,
    }  # fmt: skip
    body = {key: value for key, value in wish.items() if value is not None}
    task = client.ask("POST", f"/api/organizations/{client.organization(organization)}/tasks", body)
    show(task, as_json, lines(task))


@app.command("list")
def list_(
    organization: Organization = None,
    archived: Annotated[bool, typer.Option(help="List the archived tasks.")] = False,
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the organization's tasks."""
    client = Client(url, login, data_dir)
    path = f"/api/organizations/{client.organization(organization)}/tasks"
    tasks = client.ask("GET", path, archived=archived)
    show(tasks, as_json, (line for task in tasks for line in lines(task)))


@app.command("show")
def show_(task: Task, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show one task."""
    found = Client(url, login, data_dir).ask("GET", f"/api/tasks/{task}")
    show(found, as_json, lines(found))


@app.command()
def logs(
    task: Task,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing new entries.")] = False,
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
) -> None:
    """Print the transcript of the task's active session."""
    client = Client(url, login, data_dir)
    session = client.ask("GET", f"/api/tasks/{task}")["active_session"]
    if not follow:
        for entry in client.ask("GET", f"/api/sessions/{session}")["transcript"]:
            _entry(entry)
        return
    shown: set[str] = set()
    for word, data in client.watch("session", session):
        entries = data["transcript"] if word == "snapshot" else [data["entry"]] if word == "EntryChanged" else []
        for entry in entries:
            if entry["complete"] and entry["id"] not in shown:  # a later snapshot repeats entries
                shown.add(entry["id"])
                _entry(entry)


def _entry(entry: Json) -> None:
    typer.echo(f"[{entry['kind']}] {entry['text']}".rstrip())


def _act(task: str, verb: str, body: Json, client: Client, as_json: bool, method: str = "POST") -> None:
    found = client.ask(method, f"/api/tasks/{task}/{verb}", body)
    show(found, as_json, lines(found))


@app.command("stop-sandbox")
def stop_sandbox(
    task: Task, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Save the work, then stop the sandbox. The sandbox starts again when something needs it."""
    _act(task, "idle-stop", None, Client(url, login, data_dir), as_json)


@app.command()
def archive(
    task: Task,
    discard: Annotated[bool, typer.Option(help="Do not save the work first. Work that is not pushed is lost.")] = False,
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Archive the task. Its work is saved first, then its sandbox is removed."""
    _act(task, "archive", {"discard": discard}, Client(url, login, data_dir), as_json)


@app.command()
def release(
    task: Task,
    discard: Annotated[bool, typer.Option(help="Do not save the work in the sandbox. That work is lost.")] = False,
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Remove an archived task's sandbox now: one that was retained, or one that waits for its removal time."""
    _act(task, "release", {"discard": discard}, Client(url, login, data_dir), as_json)


@app.command()
def kill(task: Task, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Stop the agent at once and archive the task. Its work is saved first."""
    _act(task, "archive", {"kill": True}, Client(url, login, data_dir), as_json)


@app.command()
def retry(task: Task, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Retry what failed or is overdue: provisioning, a rename, or other work of the task."""
    _act(task, "retry", None, Client(url, login, data_dir), as_json)


@app.command()
def publish(task: Task, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Push the branch and open the pull request."""
    _act(task, "pull-request", {}, Client(url, login, data_dir), as_json)


@app.command()
def fetch(task: Task, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Fetch the branch and its base from GitHub, and fast-forward the work tree if nothing blocks that."""
    _act(task, "upstream", None, Client(url, login, data_dir), as_json, "PUT")


@app.command()
def rename(
    task: Task,
    name: Annotated[
        str | None, typer.Argument(help="The branch's new name. After a failure, repeat the same name.")
    ] = None,
    give_up: Annotated[bool, typer.Option("--give-up", help="Cancel a rename that failed.")] = False,
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Rename the branch in the sandbox and on GitHub. GitHub closes the open pull request; Foundry opens a new one."""
    if (name is None) is not give_up:
        raise typer.BadParameter("give either a new name or --give-up")
    client = Client(url, login, data_dir)
    if give_up:
        found = client.ask("DELETE", f"/api/tasks/{task}/branch/rename")
    else:
        found = client.ask("PUT", f"/api/tasks/{task}/branch", {"name": name})
    show(found, as_json, lines(found))


@app.command()
def checkpoints(
    task: Task, login: As = None, url: Url = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """List the task's checkpoints, the latest first."""
    found = Client(url, login, data_dir).ask("GET", f"/api/tasks/{task}/checkpoints")
    show(found, as_json, (_checkpoint(one) for one in found))


def _checkpoint(one: Json) -> str:
    saved = one["saved"]
    changes = f"+{saved['insertions']} -{saved['deletions']}"
    return f"{one['number']:>4}  {one['id']}  {one['at'][:19]}  {one['reason']:<8} {changes}"


@app.command()
def restore(
    task: Task,
    checkpoint: Annotated[str, typer.Argument(help="The checkpoint's id, from `foundry task checkpoints`.")],
    login: As = None,
    url: Url = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Restore the work from a checkpoint. The current work is saved first."""
    _act(task, f"checkpoints/{checkpoint}/restore", None, Client(url, login, data_dir), as_json)
