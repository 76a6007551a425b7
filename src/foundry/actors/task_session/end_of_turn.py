"""The end of a session's turn: what it publishes, writes and tells the task."""

from __future__ import annotations

from collections.abc import Sequence

from foundry.actors.task_session import views
from foundry.actors.task_session.config import watchdog
from foundry.actors.task_session.conversation import Conversation
from foundry.actors.task_session.tables import session_agents, session_messages, session_permissions, sessions
from foundry.actors.watchdog import key
from foundry.contracts import addresses
from foundry.contracts.messages import millis
from foundry.contracts.task import PhaseFailure, SessionSeen, SessionSummary
from foundry.contracts.task_session import MessageState, PermissionState, SessionChanged, SessionStatus, SessionView
from foundry.runtime.columns import AnyRow

UNSEEN = frozenset({"cursor", "heard_at", "replay_ends", "server", "unread", "resumed", "needs_context", "lost"})
"""Columns that the view does not show."""

SILENT = "agent silent"


def finish(c: Conversation) -> None:
    """1. Publish the transcript's changes. 2. Set the alarm. 3. Write the row. 4. Show, and tell the task.

    A batch of chunks costs no more than its event and its row.
    """
    c.transcript.flush()
    if c.attentive or _looks_different(c) or c.mail or c.state.overdue:
        _watch(c)
        _show(c)
    _write(c)


def view(c: Conversation) -> SessionView:
    """The session as this turn has made it."""
    if c.view is None:
        c.view = views.view(c.state, c.turn.find(session_agents), _shown_messages(c), c.asked())
    return c.view


def _looks_different(c: Conversation) -> bool:
    """True if the view or a time limit may have changed, because rows or workflows have."""
    if c.turn.effects.starts or c.turn.effects.cancels:
        return True
    if any(map(c.turn.wrote, (session_messages, session_permissions, session_agents, sessions))):
        return True
    before, now = c.before.values(), c.state.values()
    return any(now[name] != value for name, value in before.items() if name not in UNSEEN)


def _shown_messages(c: Conversation) -> Sequence[AnyRow]:
    shown = session_messages.c.state.in_([state.value for state in views.SHOWN])
    return c.turn.all(session_messages, shown, order_by=session_messages.c.number)


def _watch(c: Conversation) -> None:
    """Set the alarm for the next time limit, and store what is overdue."""
    running = c.message(c.state.running) if c.state.running else None
    since = standing(c, running, c.asked())
    overdue, wait = watchdog(c.turn).look(since, millis(c.turn.now))
    c.state.overdue = overdue.model_dump_json() if overdue else None
    c.turn.schedule("watchdog", wait)


def _show(c: Conversation) -> None:
    whole = view(c)
    entity = c.turn.key
    event = SessionChanged(entity=entity, repository=c.state.repository_id, session=whole)
    if c.turn.show(whole.model_dump_json(), lambda: event):
        c.turn.compact(entity)
    seen = SessionSeen(session=_summary(whole))
    task = addresses.task(whole.task)
    c.turn.tell([task], seen, seen.model_dump_json())
    for message in c.mail:
        c.turn.send(task, message)


def _summary(whole: SessionView) -> SessionSummary:
    return SessionSummary(
        id=whole.id,
        title=whole.title,
        agent=whole.agent,
        status=whole.status.value,
        stopped=whole.sandbox_stopped,
        overdue=whole.overdue,
        failure=PhaseFailure.of(whole.failure) if whole.failure else None,
    )


def _write(c: Conversation) -> None:
    before = c.before.values()
    changes = {name: value for name, value in c.state.values().items() if value != before[name]}
    if changes:
        c.turn.update(sessions, **changes)


def standing(c: Conversation, running: AnyRow | None, asked: Sequence[AnyRow]) -> dict[str, int]:
    """The states of a session that have a time limit: a key for each, and since when, in Unix milliseconds.

    Args:
        running: the message that is with the agent.
        asked: its permission requests that are not over.
    """
    state = c.state
    found = {key("opening the agent", one.id): one.since for one in c.turn.running() if one.id == c.opening}
    answers = {one.id: one.since for one in c.turn.running("answer_permission")}
    for row in asked:
        waits = row.state == PermissionState.WAITING
        what = "permission unanswered" if waits else "answer under way"
        found[key(what, row.permission)] = row.at if waits else answers.get(row.workflow, int(row.at))
    if running is not None and state.status == SessionStatus.RUNNING and not asked:
        sending = running.state == MessageState.SENDING
        since = state.status_since if sending else state.heard_at
        found[key("sending the message" if sending else SILENT, running.message)] = since
    return found
