"""A Foundry in a process of its own that kills itself (SIGKILL) at a given step, for the crash tests.

    python -m tests.harness.child HOME [--create PROMPT_FILE] [--die WORKFLOW:STEP:WHEN] [--die-at-text N]

HOME/github is the stand-in GitHub's directory, HOME/data Foundry's. Prints a line of JSON whenever the task changes.
WHEN: `during`: the outside has done it, nothing is recorded; `after`: it is recorded. HOME/journal gets a line when a
step's body begins and when it is recorded, so that a test can see what ran twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import select

from foundry.actors.organization.views import organizations, repository_list
from foundry.actors.task.tables import tasks
from foundry.actors.task.views import task_view
from foundry.actors.task_session.views import session_view, transcript
from foundry.app import Server, set_up_logging
from foundry.contracts import addresses
from foundry.contracts.ids import SandboxId, SessionId, TaskId, UserId, new_id
from foundry.contracts.messages import ScopeId
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import CreateTask, TaskView
from foundry.runtime.runtime import Runtime
from foundry.settings import Settings
from tests.harness.traps import Traps, die, spring

ADA = Person(id=UserId("1001"), login="ada", name="Ada Byron", email="ada@users.noreply.github.test")


def settings_for(home: Path, **changes: Any) -> Settings:
    """Settings for a Foundry beside the stand-in whose directory is HOME/github."""
    app = json.loads((home / "github" / "app.json").read_text())
    given = {
        "data_dir": home / "data",
        "github_app_id": app["app_id"],
        "github_app_private_key": app["private_key"],
        "github_client_id": app["client_id"],
        "github_client_secret": app["client_secret"],
        "github_webhook_secret": app["webhook_secret"],
        "github_api_url": app["api_url"],
        "github_web_url": app["web_url"],
        "agent_launchers": {"mock": [sys.executable, "-m", "foundry.devkit.agent"]},
        "default_agent": "mock",
        "devkit_sign_in": True,
        "log_level": "WARNING",
    }
    return Settings.model_validate({**given, **changes})


async def repository(runtime: Runtime) -> RepositoryRef:
    """The sample repository, once GitHub's sync has found it."""
    while True:
        for organization in await runtime.read(organizations):
            for found in await runtime.read(repository_list, organization.id):
                if found.name == "tally" and await runtime.read(
                    lambda r, i=found.id: r.exists(addresses.repository(i))
                ):
                    return found
        await asyncio.sleep(0.05)


async def create(runtime: Runtime, prompt: str) -> None:
    repo = await repository(runtime)
    task = TaskId(new_id("tsk"))
    command = CreateTask(
        parent=addresses.repository(repo.id),
        scope=ScopeId(repo.organization),
        id=task,
        session=SessionId(new_id("ses")),
        sandbox=SandboxId(new_id("sbx")),
        repository=repo,
        prompt=prompt,
        agent="mock",
        person=ADA,
    )
    await runtime.ask(addresses.task(task), command)


async def seen(runtime: Runtime) -> dict[str, Any] | None:
    """The newest task and its session, as a test wants to see them."""
    row = await runtime.read(lambda r: r.first(select(tasks.c.task).order_by(tasks.c.created_at.desc())))
    if row is None:
        return None
    task: TaskView = await runtime.read(task_view, row.task)
    body: dict[str, Any] = {
        "task": task.id, "state": task.state.value, "phase": task.phase.value, "branch": task.branch,
        "failure": task.failure.message if task.failure else None, "sandbox": task.sandbox,
        "status": task.activity, "session": task.active_session,
    }  # fmt: skip
    if task.active_session and await runtime.read(lambda r: r.exists(addresses.session(task.active_session))):
        session = await runtime.read(session_view, task.active_session)
        entries = await runtime.read(transcript, task.active_session)
        body["messages"] = [m.state.value for m in session.messages]
        body["entries"] = [[e.kind.value, e.complete, e.text] for e in entries]
    return body


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("home", type=Path)
    parser.add_argument("--create", type=Path)
    parser.add_argument("--die")
    parser.add_argument("--die-at-text", type=int)
    given = parser.parse_args()
    set_up_logging("WARNING")
    spring(Traps(given.home / "journal", die=given.die or ""))
    server = Server(settings_for(given.home))
    foundry = await server.start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)  # type: ignore[union-attr]
    try:
        if given.create:
            await create(foundry.runtime, given.create.read_text())
        last = None
        while True:
            body = await seen(foundry.runtime)
            if body != last:
                print(json.dumps(body), flush=True)
                last = body
            said = sum(len(text) for kind, _, text in (body or {}).get("entries", []) if kind == "agent")
            if given.die_at_text and said >= given.die_at_text:
                die()
            await asyncio.sleep(0.03)
    except asyncio.CancelledError:
        await server.stop()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
