"""A session's life: created, its agent opened, resumed and stopped with its sandbox, closed."""

from __future__ import annotations

from typing import Literal

from foundry.actors.task_session.connection import (
    cut_off,
    disconnect,
    give_up_opening,
    give_up_server,
    reconnect,
    start_opening,
    stop_opening,
    wake_agent,
)
from foundry.actors.task_session.conversation import Conversation, conversation
from foundry.actors.task_session.gaps import fill, give_up
from foundry.actors.task_session.jobs import CloseServer
from foundry.actors.task_session.row import State
from foundry.actors.task_session.tables import session_messages, sessions
from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import MessageId, SandboxId, SessionId
from foundry.contracts.messages import millis
from foundry.contracts.overdue import Action
from foundry.contracts.session_status_sync import ReadStream
from foundry.contracts.session_stream import (
    EACH_TRY,
    ChooseServer,
    FillGaps,
    SessionOpened,
    made_of,
)
from foundry.contracts.task import title_of
from foundry.contracts.task_session import (
    CloseSession,
    CreateSession,
    EntryKind,
    MessageState,
    OpenAgent,
    ResumeSession,
    SandboxLost,
    SessionStatus,
    StopWithSandbox,
)
from foundry.runtime.actor import creates, handles, receives
from foundry.runtime.turn import Turn

ABLE = (SessionStatus.READY, SessionStatus.IDLE)


@creates(CreateSession)
def create(turn: Turn, message: CreateSession) -> None:
    """1. Pending, until the task says that the sandbox is there. 2. A first prompt waits in the queue."""
    if not turn.born:
        return
    now = millis(turn.now)
    state = State(
        session=turn.key,
        task=message.task,
        repository_id=message.repository.id,
        sandbox=message.sandbox,
        agent=message.agent,
        title=title_of(message.prompt or ""),
        status=SessionStatus.PENDING.value,
        status_since=now,
        created_at=now,
    )
    turn.insert(sessions, **state.values())
    c = conversation(turn)
    if message.prompt:
        c.queue(message.message or MessageId(turn.new_id("msg")), message.prompt, message.person)


@receives(OpenAgent)
def open_agent(turn: Turn, message: OpenAgent) -> None:
    """Open the agent's session, unless it is open or being opened. After an error this is the retry."""
    c = conversation(turn)
    if message.anew and c.opening:
        give_up_opening(c)
    if (c.state.sandbox_stopped or message.wake) and not c.opening:
        wake_agent(c)
    elif c.status is SessionStatus.PENDING and not c.opening:
        start_opening(c, installed=message.installed)
    elif c.status is SessionStatus.ERROR and not c.opening:
        reconnect(c, "A person asked to retry.")
    elif c.status in ABLE:
        c.tell_again()


@handles(ChooseServer)
def choose_server(turn: Turn, command: ChooseServer) -> str:
    """Choose the id before the agent is started under it. It stays the same until it is given up."""
    c = conversation(turn)
    if command.fresh or not c.state.server:
        c.state.server = turn.new_id("acp") + EACH_TRY
    return c.state.server


@handles(SessionOpened)
def opened(turn: Turn, command: SessionOpened) -> None:
    """1. Close any server but the chosen one. 2. Read its stream. 3. Ready: queued messages ask for the work tree."""
    c, opened = conversation(turn), command.opened
    if c.status is SessionStatus.CLOSED or not made_of(opened.server_id, c.state.server or ""):
        turn.start("close_server", CloseServer(sandbox=SandboxId(c.state.sandbox), server_id=opened.server_id))
        return
    state = c.state
    state.server, state.agent_session = opened.server_id, opened.model_dump_json()
    state.connected, state.cursor, state.unread = True, 0, None
    state.replay_ends = opened.replay_ends
    c.agent_says(mode=opened.mode)
    if state.prompted:
        _say_how(c, command.how)
    c.well_but_for_doubts()
    c.move(SessionStatus.IDLE if state.prompted else SessionStatus.READY)
    turn.send(
        addresses.status_sync(SessionId(turn.key)),
        ReadStream(
            parent=turn.address,
            scope=turn.scope,
            session=SessionId(turn.key),
            sandbox=SandboxId(state.sandbox),
            server_id=opened.server_id,
        ),
    )


def _say_how(c: Conversation, how: Literal["new", "load", "resume"]) -> None:
    c.state.needs_context = how == "new"
    if how == "new":
        give_up(c.turn, c.transcript)
        text = "The agent runs again, in a new session; it gets the recent transcript with the next message."
    else:
        text = "The agent runs again and has kept its session."
    c.transcript.add(EntryKind.NOTE, text)


@handles(FillGaps)
def fill_gaps(turn: Turn, command: FillGaps) -> None:
    """Fill gaps from the agent's own history, before the session continues."""
    c = conversation(turn)
    fill(turn, c.transcript, command)


@handles(ResumeSession)
def resume(turn: Turn, command: ResumeSession) -> None:
    """Start the agent again after an error, or if its opening is overdue. A resume that already runs continues."""
    c = conversation(turn)
    c.refuse_closed()
    late = c.overdue()
    if late is not None and Action.RESTART_AGENT in late.actions:
        give_up_opening(c)
        c.move(SessionStatus.ERROR)
    elif c.status is not SessionStatus.ERROR:
        raise WrongState(f"the session is {c.status.value}; only one in error is resumed")
    if not c.opening:
        reconnect(c, f"{command.person.login} asked to resume.")


@handles(StopWithSandbox)
def stop_with_sandbox(turn: Turn, command: StopWithSandbox) -> None:
    """The sandbox is about to be stopped, and the agent with it. The conversation can continue later."""
    c = conversation(turn)
    if c.status is SessionStatus.CLOSED or c.state.sandbox_stopped:
        return
    stop_opening(c)
    cut_off(c)
    disconnect(c)
    c.state.sandbox_stopped = True
    c.well()
    if c.status is SessionStatus.ERROR:
        c.move(c.without_a_prompt)
    c.transcript.add(EntryKind.NOTE, "Nobody used the sandbox, so it was stopped; the work is saved.")


@receives(SandboxLost)
def sandbox_lost(turn: Turn, message: SandboxLost) -> None:
    """The agent was lost with its sandbox. The session is pending until the new sandbox is there."""
    c = conversation(turn)
    if c.status is SessionStatus.CLOSED:
        return
    if c.state.prompted:
        c.transcript.add(EntryKind.NOTE, "The sandbox was lost. A new one is made, with what was saved of the work.")
    stop_opening(c)
    cut_off(c)
    disconnect(c)
    c.state.agent_session, c.state.unread, c.state.sandbox_stopped = None, None, False
    c.state.needs_context = c.state.prompted
    c.state.sandbox = message.sandbox or c.state.sandbox
    c.well()
    c.move(SessionStatus.PENDING)


@receives(CloseSession)
def close(turn: Turn, message: CloseSession) -> None:
    """1. Cancel what runs or waits. 2. End the agent in the background. 3. The transcript stays."""
    c = conversation(turn)
    if c.status is SessionStatus.CLOSED:
        return
    stop_opening(c)
    c.cancel_sending()
    c.end_prompt(MessageState.CANCELLED, "closed", status=None)
    for row in turn.all(session_messages, state=MessageState.QUEUED.value):
        c.move_message(row, MessageState.CANCELLED, outcome="closed")
    c.drop_permissions()
    c.transcript.end_text()
    give_up_server(c)
    c.state.sandbox_stopped = False
    c.well()
    c.move(SessionStatus.CLOSED)
