"""A task: its head, provisioning phases, tabs, work tree and changes."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from foundry.contracts.task import Phase, TaskState, TaskView, WorkTree
from foundry.contracts.task_session import SessionStatus
from foundry.web.diff import files
from foundry.web.fragments.session import STATUSES
from foundry.web.fragments.tasks import PHASES, badge
from foundry.web.templating import template


def head(task: TaskView, *, may_write: bool = True) -> Markup:
    tone, word = badge(task)
    return template(
        "fragments/task_head.html",
        task=task,
        tone=tone,
        word=word,
        rename_warning=rename_warning(task),
        may_write=may_write,
    )


def rename_warning(task: TaskView) -> str:
    """Return the warning that people see before a rename starts."""
    said = "This renames the branch in the sandbox and on GitHub. Messages wait meanwhile."
    pull = task.pull_request
    if pull is None or pull.state != "open":
        return said
    return (
        f"{said} GitHub then closes pull request #{pull.number} with its reviews. Foundry opens a replacement with the "
        "same title, text, base, labels and reviewers, and links the two."
    )


def phases(task: TaskView, *, may_write: bool = True) -> Markup:
    """Render the provisioning phases, with the current one's age, attempt and failure (R25). Empty afterwards."""
    order = list(PHASES)
    at = order.index(task.phase)
    over = task.state is TaskState.ARCHIVED or (task.phase is Phase.RUNNING and task.failure is None)
    steps = [
        {"name": PHASES[phase], "state": "done" if n < at else "now" if n == at else "next"}
        for n, phase in enumerate(order)
        if phase is not Phase.RUNNING and (phase is not Phase.RESTORING or task.begins_from)
    ]
    retryable = task.state is TaskState.FAILED or (
        task.state is TaskState.READY and task.failure is not None and task.phase is not Phase.RUNNING
    )
    return template(
        "fragments/phases.html",
        task=task,
        over=over,
        steps=steps,
        running=task.phase is Phase.RUNNING,
        retryable=retryable and may_write,
        failed=task.state is TaskState.FAILED,
    )


def tabs(task: TaskView, selected: str, *, may_write: bool = True, agents: Sequence[str] = ()) -> Markup:
    """Render the tabs for the task's sessions and its changes.

    Args:
        selected: a session's id, or `changes`.
        agents: the agents that a new session may use.
    """
    sessions = [
        {"session": s, "tone": _status(s.status)[0], "word": _status(s.status)[1], "number": n + 1}
        for n, s in enumerate(task.sessions)
    ]
    return template(
        "fragments/tabs.html",
        task=task,
        selected=selected,
        sessions=sessions,
        agents=agents,
        can_open=may_write and task.state is not TaskState.ARCHIVED,
        many=len({s.agent for s in task.sessions}) > 1,
    )


def _status(status: str) -> tuple[str, str]:
    return STATUSES[SessionStatus(status)] if status in {s.value for s in SessionStatus} else ("quiet", status)


def work(task: TaskView, *, may_write: bool = True) -> Markup:
    """Render a summary of the work tree."""
    return template(
        "fragments/work.html",
        task=task,
        work=task.work,
        can_look=may_write and task.state is TaskState.READY,
    )


def changes(task: TaskView, work: WorkTree) -> Markup:
    """Render the branch's whole diff.

    Args:
        work: the work tree with its diff.
    """
    return template("fragments/changes.html", task=task, work=work, files=files(work.diff))
