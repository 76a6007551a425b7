"""TaskSession: one conversation with one agent; its queue, its transcript, its permission requests."""

from __future__ import annotations

from foundry.actors.task_session import (
    drafts,
    failures,
    lifecycle,
    messages,
    permissions,
    prompt_end,
    stream,
)
from foundry.actors.task_session.conversation import opened
from foundry.actors.task_session.end_of_turn import finish, view
from foundry.actors.watchdog import WATCHDOG, Watchdog
from foundry.contracts.task_session import SessionView
from foundry.runtime.actor import Actor
from foundry.runtime.turn import Turn


class TaskSession(Actor):
    """Owns the queue of messages, the transcript and the stream's cursor, permission requests, drafts and read marks.

    Never talks to an agent: its workflows do, through the agents' door, and what comes back is read from the stream.
    Never decides which session may run: it asks its task for the work tree and waits for the grant (R6).
    """

    topic = "session"
    keeps_events = True  # they are the transcript
    parts = (lifecycle, messages, prompt_end, permissions, stream, failures, drafts)

    def __init__(self, watchdog: Watchdog = WATCHDOG) -> None:
        self.config = watchdog

    def after_turn(self, turn: Turn) -> None:
        """1. Publish the transcript's changes. 2. Write the row. 3. Show what has changed; tell the task."""
        conversation = opened(turn)
        if conversation is not None:
            finish(conversation)

    def view(self, turn: Turn) -> SessionView:
        conversation = opened(turn)
        assert conversation is not None, "who answers with the view has looked at the session"
        return view(conversation)
