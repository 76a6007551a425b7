"""Renders fragments, from models to HTML. One fragment serves the page, its live replacement and the catch-up.

All functions are pure. Every fragment is one element with an id. An element that may be new to the page also has
`data-into` (the id of its container) and `data-order` (its place there), so that the page can insert it at any time,
repeatedly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

from markupsafe import Markup

from foundry.contracts.history import HistoryView
from foundry.contracts.issues import IssueKind
from foundry.contracts.messages import Address, Json, millis
from foundry.contracts.organization import IssueView
from foundry.contracts.sandbox_instance import SandboxState, SandboxView
from foundry.contracts.sizes import human
from foundry.contracts.task import Phase, TaskState, TaskSummary, TaskView, WorkTree
from foundry.contracts.task_checkpoints import CheckpointReason, CheckpointView
from foundry.contracts.task_session import Entry, EntryKind, MessageState, PermissionState, SessionStatus, SessionView
from foundry.web.diff import FileDiff, between, files
from foundry.web.templating import template

OUTPUT_LIMIT = 20_000  # characters; a tool call's longer output is truncated

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

REASONS = {
    CheckpointReason.TURN: "after the agent's turn",
    CheckpointReason.ASKED: "saved by a person",
    CheckpointReason.RESTORE: "before a restore",
    CheckpointReason.RELEASE: "before the sandbox was released",
    CheckpointReason.IDLE: "before the idle stop",
}

STOPS = {
    "end_turn": "The agent has finished.",
    "cancelled": "Stopped.",
    "max_tokens": "The agent stopped: it reached its token limit.",
    "max_turn_requests": "The agent stopped: it reached its limit of requests in one turn.",
    "refusal": "The agent refused to continue.",
    "unknown": "It is unknown how this turn ended.",
}

ISSUES = {
    IssueKind.STEP_RETRYING: "Retrying",
    IssueKind.WORKFLOW_FAILED: "Failed",
    IssueKind.MESSAGE_SET_ASIDE: "Set aside",
    IssueKind.WORKFLOW_CRASHED: "Crashed",
    IssueKind.WORKFLOW_LOST: "Lost",
    IssueKind.SCHEDULE_FAILING: "Failing",
    IssueKind.OVERDUE: "Overdue",
    IssueKind.SANDBOXES_MISSING: "Missing",
    IssueKind.SANDBOX_UNKNOWN: "Unknown",
    IssueKind.DISK_LOW: "Disk low",
}

STATUSES = {
    SessionStatus.PENDING: ("busy", "Starting"),
    SessionStatus.READY: ("good", "Ready"),
    SessionStatus.RUNNING: ("busy", "Working"),
    SessionStatus.IDLE: ("quiet", "Idle"),
    SessionStatus.ERROR: ("bad", "Error"),
    SessionStatus.CLOSED: ("quiet", "Closed"),
}


# The organization


def task_badge(task: TaskSummary) -> tuple[str, str]:
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


def task_row(task: TaskSummary) -> Markup:
    """Render one row of a task list, which shows the newest task first."""
    tone, word = task_badge(task)
    return template(
        "fragments/task_row.html",
        task=task,
        tone=tone,
        word=word,
        phase=PHASES[task.phase],
        order=-millis(task.created_at),
    )


def task_list(tasks: Iterable[TaskSummary], *, archived: bool) -> Markup:
    rows = [task_row(task) for task in tasks]
    return template("fragments/task_list.html", rows=rows, archived=archived)


def gone(element: str) -> Markup:
    """Render the instruction to remove this element from the page."""
    return Markup('<template data-remove="{}"></template>').format(element)


def issue_badge(organization: str, issues: Sequence[IssueView]) -> Markup:
    """Render the top bar's badge (R19), which links to the runtime issues."""
    worst = any(issue.failure.retry_at is None for issue in issues)
    return template("fragments/issue_badge.html", organization=organization, count=len(issues), worst=worst)


def issue_list(organization: str, scope: str, issues: Sequence[IssueView]) -> Markup:
    """Render a scope's runtime issues, each with its actions (R20).

    Args:
        scope: `organization` or `app`.
    """
    lines = [
        {"issue": issue, "word": ISSUES[issue.failure.kind], "where": actor_link(issue.failure.actor)}
        for issue in issues
    ]
    return template("fragments/issue_list.html", organization=organization, scope=scope, lines=lines)


def actor_link(actor: str) -> Markup:
    """Render an actor's address, as a link if the actor has a page."""
    address = Address.parse(actor)
    pages = {"Task": "tasks", "Repository": "repositories", "Organization": "organizations", "TaskSession": "sessions"}
    if address.kind in pages:
        return Markup('<a href="/{}/{}">{} <code>{}</code></a>').format(
            pages[address.kind], address.key, address.kind, address.key
        )
    return Markup("{} <code>{}</code>").format(address.kind, address.key)


def history(entries: Sequence[HistoryView]) -> Markup:
    return template("fragments/history.html", entries=entries)


# The task


def task_head(task: TaskView, *, may_write: bool = True) -> Markup:
    tone, word = task_badge(task)
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


def checkpoints(task: TaskView, listed: Sequence[CheckpointView], *, may_write: bool = True) -> Markup:
    """Render the task's checkpoints, and whether a save is running or has failed.

    Args:
        listed: the checkpoints, the latest first.
    """
    lines = [{"one": one, "words": REASONS[one.reason]} for one in listed]
    return template(
        "fragments/checkpoints.html",
        task=task,
        lines=lines,
        can_save=may_write and task.state is TaskState.READY,
        can_release=may_write and task.retained != "",
    )


def changes(task: TaskView, work: WorkTree) -> Markup:
    """Render the branch's whole diff.

    Args:
        work: the work tree with its diff.
    """
    return template("fragments/changes.html", task=task, work=work, files=files(work.diff))


def sandbox(view: SandboxView | None, *, may_write: bool = True) -> Markup:
    tones = {
        SandboxState.CREATING: "busy",
        SandboxState.STARTING: "busy",
        SandboxState.RUNNING: "good",
        SandboxState.UNREACHABLE: "bad",
        SandboxState.RETAINED: "wait",
        SandboxState.LOST: "bad",
    }
    tone = "quiet" if view is None else tones.get(view.state, "quiet")
    can_read = may_write and view is not None and view.state not in (SandboxState.LOST, SandboxState.DELETED)
    size = human(view.disk) if view is not None and view.disk is not None else ""
    return template("fragments/sandbox.html", sandbox=view, tone=tone, can_read=can_read, size=size)


# The session


def session_state(session: SessionView, *, may_write: bool = True) -> Markup:
    """Render the area between transcript and message box: failure, queued messages, status, and their buttons."""
    tone, word = STATUSES[session.status]
    asked = any(p.state is PermissionState.WAITING for p in session.permissions)
    if asked:
        tone, word = "wait", "Waiting for an answer"
    elif session.stopping:
        tone, word = "busy", "Stopping"
    elif session.sandbox_stopped:
        tone, word = "quiet", "Stopped; starts on the next message"
    shown = [m for m in session.messages if m.state is not MessageState.SENDING]
    return template(
        "fragments/session_state.html",
        session=session,
        tone=tone,
        word=word,
        shown=shown,
        may_write=may_write and session.status is not SessionStatus.CLOSED,
        running=session.status is SessionStatus.RUNNING,
        usage=usage(session.usage),
    )


def usage(told: Json) -> str:
    """Return a short text about tokens and cost, as far as the agent reports them."""
    used, size = told.get("used"), told.get("size")
    parts: list[str] = []
    if isinstance(used, int) and isinstance(size, int) and size > 0:
        parts.append(f"context {round(100 * used / size)} %")
    total = told.get("totalTokens")
    if isinstance(total, int) and total:
        parts.append(f"{total / 1000:.1f}k tokens" if total >= 1000 else f"{total} tokens")
    cost = told.get("cost")
    if isinstance(cost, dict):
        amount, currency = cast("Json", cost).get("amount"), cast("Json", cost).get("currency")
        if isinstance(amount, int | float) and isinstance(currency, str):
            parts.append(f"{amount:.2f} {currency}")
    return " · ".join(parts)


def entry(session: str, item: Entry, *, may_write: bool = True) -> Markup:
    """Render one entry of a transcript. Agents may send data of any form, so every field is checked."""
    values: dict[str, object] = {"session": session, "entry": item, "may_write": may_write}
    values["order"] = f"{item.position}.{item.part:06d}" if item.part else str(item.position)
    values["filled"] = item.data.get("filled") is True
    match item.kind:
        case EntryKind.TOOL:
            values.update(tool=_tool(item.data), path=_path(item.data))
        case EntryKind.PLAN:
            values["steps"] = [
                {"content": _text(step.get("content")), "status": _text(step.get("status")) or "pending"}
                for step in _mappings(item.data.get("entries"))
            ]
        case EntryKind.PERMISSION:
            values["permission"] = _permission(item.data)
        case EntryKind.STOP:
            known = STOPS.get(item.text)
            failed = item.data.get("state") in (MessageState.FAILED, MessageState.UNKNOWN)
            values.update(words=known or item.text, tone="bad" if failed else "quiet")
        case EntryKind.GAP:
            missed = item.data.get("events")
            values.update(missed=missed if isinstance(missed, int) else 0, looked=item.data.get("looked") is True)
        case EntryKind.USER:
            login = _text(item.data.get("login"))
            values.update(login=login or "someone", name=_text(item.data.get("name")))
        case _:
            pass
    return template(f"fragments/entry_{item.kind.value}.html", **values)


def delta(entry_id: str, offset: int, text: str) -> Markup:
    """Render text to append to a streamed entry. The page appends it only if the current length equals `offset`
    (Unicode code points)."""
    return Markup('<span data-append="{}" data-offset="{}" data-length="{}">{}</span>').format(
        f"text-{entry_id}", offset, len(text), text
    )


def composer(session: str, key: str, text: str = "", problem: object = None, *, focus: bool = False) -> Markup:
    """Render the message box. Its idempotency key makes sure that a message sent twice arrives once."""
    return template("fragments/composer.html", session=session, key=key, text=text, problem=problem, focus=focus)


def flash(problem: object = None, offer: object = None, note: str = "") -> Markup:
    """Render the area for a form's response: the reason for a refusal, or empty after success."""
    return template("fragments/flash.html", problem=problem, offer=offer, note=note)


def transcript(session: str, entries: Iterable[Entry], *, may_write: bool = True) -> Markup:
    """Render the whole transcript."""
    shown = [entry(session, item, may_write=may_write) for item in entries]
    return template("fragments/transcript.html", session=session, entries=shown)


TOOL_KINDS = {
    "read": "Read",
    "edit": "Edit",
    "delete": "Delete",
    "move": "Move",
    "search": "Search",
    "execute": "Run",
    "think": "Think",
    "fetch": "Fetch",
    "switch_mode": "Mode",
}
TOOL_TONES = {"completed": "good", "failed": "bad", "in_progress": "busy", "cancelled": "quiet"}


def _tool(data: Json) -> dict[str, object]:
    status = _text(data.get("status")) or "pending"
    parts = [part for item in _mappings(data.get("content")) if (part := _part(item)) is not None]
    given = data.get("input")
    command = _mapping(given).get("command")
    if isinstance(command, list):
        command = " ".join(str(word) for word in cast("list[object]", command))
    shown_input = "" if isinstance(command, str) or not given or any(p["diff"] for p in parts) else _pretty(given)
    output = data.get("output")
    code = _mapping(output).get("exitCode")
    return {
        "kind": TOOL_KINDS.get(_text(data.get("kind")), ""),
        "status": status,
        "words": status.replace("_", " "),
        "tone": TOOL_TONES.get(status, "wait"),
        "title": _text(data.get("title")) or "Tool call",
        "command": command if isinstance(command, str) else "",
        "input": shown_input,
        "parts": parts,
        "output": "" if parts or not output else _pretty(output),
        "code": code if isinstance(code, int) else None,
        "added": sum(p["diff"].added for p in parts if p["diff"]),
        "removed": sum(p["diff"].removed for p in parts if p["diff"]),
    }


def _part(item: Json) -> dict[str, Any] | None:
    """Return one part of a tool call's content: text, or a change of a file."""
    if item.get("type") == "diff":
        old = item.get("oldText")
        diff: FileDiff = between(
            _text(item.get("path")), old if isinstance(old, str) else None, _text(item.get("newText"))
        )
        return {"diff": diff, "text": ""}
    content = _mapping(item.get("content"))
    text = _text(content.get("text")) or _text(content.get("uri"))
    return {"diff": None, "text": _cut(text)} if text.strip() else None


def _path(data: Json) -> str:
    places = _mappings(data.get("locations"))
    return _text(places[0].get("path")) if places else ""


def _permission(data: Json) -> dict[str, object]:
    state = _text(data.get("state")) or PermissionState.WAITING.value
    answer = _text(data.get("answer"))
    options = [
        {"id": _text(o.get("id")), "name": _text(o.get("name")) or _text(o.get("id")), "kind": _text(o.get("kind"))}
        for o in _mappings(data.get("options"))
        if _text(o.get("id"))
    ]
    chosen = next((option["name"] for option in options if option["id"] == answer), answer)
    return {
        "id": _text(data.get("permission")),
        "detail": _text(data.get("detail")),
        "options": options,
        "state": state,
        "waiting": state == PermissionState.WAITING,
        "chosen": chosen,
    }


def _pretty(value: object) -> str:
    return _cut(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2))


def _cut(text: str) -> str:
    return text if len(text) <= OUTPUT_LIMIT else f"{text[:OUTPUT_LIMIT]}\n… {len(text) - OUTPUT_LIMIT} more characters"


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> Json:
    return cast("Json", value) if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Json]:
    return [_mapping(item) for item in cast("list[object]", value)] if isinstance(value, list) else []
