"""The agent's event stream: its events, and what happens when it is lost."""

from __future__ import annotations

from foundry.actors.task_session.config import limit
from foundry.actors.task_session.connection import agent_gone, look_back
from foundry.actors.task_session.conversation import Conversation, conversation
from foundry.actors.task_session.stream_reducer import Reading
from foundry.contracts.messages import millis
from foundry.contracts.sandbox_provider import SandboxUnreachable
from foundry.contracts.session_stream import (
    Ingest,
    StreamBack,
    StreamLost,
    TakeLate,
)
from foundry.contracts.task_session import (
    SessionStatus,
)
from foundry.runtime.actor import due, handles
from foundry.runtime.turn import Turn


@handles(Ingest)
def ingest(turn: Turn, command: Ingest) -> int:
    """1. Refuse any server but the session's. 2. Read new events. 3. Store the cursor with them."""
    c = conversation(turn)
    if not c.state.connected or command.server_id != c.state.server:
        return -1
    if command.items:
        _reachable(c)
        c.state.heard_at = millis(turn.now)
        Reading(c).take(command.items)
        look_back(c)
    return c.state.cursor if c.state.connected else -1


@handles(TakeLate)
def take_late(turn: Turn, command: TakeLate) -> int:
    """Add to the transcript what the agent said before it was cut off."""
    c = conversation(turn)
    if c.state.connected or c.state.unread != command.server_id:
        return -1
    Reading(c).take_late(command.items)
    return c.state.cursor


@handles(StreamLost)
def stream_lost(turn: Turn, command: StreamLost) -> None:
    """Gone for good: start the agent again. Unreachable: say so, keep what runs, and give it some time."""
    c = conversation(turn)
    if not c.state.connected or command.server_id != c.state.server:
        return
    if command.gone:
        agent_gone(c, command.message)
    elif not c.state.unreachable:
        c.state.unreachable = True
        c.move(SessionStatus.ERROR)
        remedy = "Foundry goes on trying. If the sandbox stays away, resume the session."
        c.failure(SandboxUnreachable.code, command.message, remedy, "resume")
        turn.schedule("unreachable", limit(turn, "sandbox unreachable"))


@handles(StreamBack)
def stream_back(turn: Turn, command: StreamBack) -> None:
    c = conversation(turn)
    if c.state.connected and command.server_id == c.state.server:
        _reachable(c)


@due("unreachable")
def unreachable_for_long(turn: Turn) -> None:
    c = conversation(turn)
    if c.state.unreachable and not c.state.resumed:
        agent_gone(c, "The sandbox could not be reached.")


def _reachable(c: Conversation) -> None:
    if c.state.unreachable:
        c.state.unreachable = False
        c.turn.unschedule("unreachable")
        c.well()
        c.move(SessionStatus.RUNNING if c.state.running else c.without_a_prompt)


@due("watchdog")
def look(turn: Turn) -> None:
    conversation(turn).attentive = True
