"""Task lists: a task's row with its status badge."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from foundry.contracts.messages import millis
from foundry.contracts.task import Phase, TaskState, TaskSummary
from foundry.contracts.task_session import SessionStatus
from foundry.web.templating import template

PHASES = {
    Phase.NAMING: "Naming the branch",
    Phase.CREATING_SANDBOX: "Creating the sandbox",
    Phase.STARTING_AGENT_SERVER: "Starting sandbox-agent",
    Phase.WAITING_FOR_HEALTH: "Waiting for sandbox-agent",
    Phase.CLONING: "Cloning the repository",
    Phase.RESTORING: "Restoring the checkpoint",
    Phase.INSTALLING_AGENT: "Installing the agent",
    Phase.CREATING_SESSION: "Creating the session",
    Phase.SENDING_PROMPT: "Sending the prompt",
    Phase.RUNNING: "Running",
}


def badge(task: TaskSummary) -> tuple[str, str]:
    """Return a task's status as a tone (busy, good, bad, wait, merged, quiet) and a label."""
    pull = task.pull_request
    if task.state is TaskState.ARCHIVED:
        return (
            ("merged", "Merged") if task.archived == "merged" else ("quiet", str(task.archived or "archived").title())
        )
    if task.state is TaskState.FAILED:
        return "bad", "Failed"
    if task.failure is not None and task.failure.retry_at is None:
        return "bad", "Needs attention"
    if task.failure is not None:
        return "wait", "Retrying"
    if task.activity == SessionStatus.ERROR:
        return "bad", "Agent error"
    if task.state is TaskState.PROVISIONING:
        return "busy", "Starting"
    if task.activity == SessionStatus.RUNNING:
        return "busy", "Working"
    if pull is not None and pull.state == "open":
        return "good", "In review"
    if pull is not None and pull.state == "closed":
        return "wait", "PR closed"
    if task.activity == SessionStatus.PENDING:
        return "busy", "Starting"
    return "good", "Ready"


def row(task: TaskSummary) -> Markup:
    """Render one row of a task list, which shows the newest task first."""
    tone, word = badge(task)
    return template(
        "fragments/task_row.html",
        task=task,
        tone=tone,
        word=word,
        phase=PHASES[task.phase],
        order=-millis(task.created_at),
    )


def task_list(tasks: Iterable[TaskSummary], *, archived: bool) -> Markup:
    rows = [row(task) for task in tasks]
    return template("fragments/task_list.html", rows=rows, archived=archived)
