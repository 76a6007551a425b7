"""A session: its state with the queued messages, its usage, and the message box."""

from __future__ import annotations

from typing import cast

from markupsafe import Markup

from foundry.contracts.messages import Json
from foundry.contracts.task_session import MessageState, PermissionState, SessionStatus, SessionView
from foundry.web.templating import template

STATUSES = {
    SessionStatus.PENDING: ("busy", "Starting"),
    SessionStatus.READY: ("good", "Ready"),
    SessionStatus.RUNNING: ("busy", "Working"),
    SessionStatus.IDLE: ("quiet", "Idle"),
    SessionStatus.ERROR: ("bad", "Error"),
    SessionStatus.CLOSED: ("quiet", "Closed"),
}


def state(session: SessionView, *, may_write: bool = True) -> Markup:
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


def composer(session: str, key: str, text: str = "", problem: object = None, *, focus: bool = False) -> Markup:
    """Render the message box. Its idempotency key makes sure that a message sent twice arrives once."""
    return template("fragments/composer.html", session=session, key=key, text=text, problem=problem, focus=focus)
