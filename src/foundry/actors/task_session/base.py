"""What the parts of a TaskSession share."""

from __future__ import annotations

from foundry.actors.task_session.conversation import Conversation
from foundry.actors.watchdog import WATCHDOG, Watchdog
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import MessageId
from foundry.contracts.task_session import SessionClosed, SessionStatus
from foundry.runtime.actor import Actor
from foundry.runtime.turn import AnyRow, Turn


class Conversing(Actor):
    """A turn of it works on a Conversation."""

    def __init__(self, watchdog: Watchdog = WATCHDOG) -> None:
        self._watchdog = watchdog

    def _conversation(self, turn: Turn) -> Conversation:
        return Conversation(turn, self._watchdog)

    def _refuse_closed(self, c: Conversation) -> None:
        if c.status is SessionStatus.CLOSED:
            raise SessionClosed(f"session {c.turn.key} is closed")

    def _message(self, c: Conversation, message: MessageId) -> AnyRow:
        row = c.message(message)
        if row is None:
            raise NotFound(f"session {c.turn.key} has no message {message}")
        return row
