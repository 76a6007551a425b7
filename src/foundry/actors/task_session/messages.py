"""A session's messages: queued, given to the agent at most once, resent, withdrawn."""

from __future__ import annotations

from foundry.actors.task_session.config import limit
from foundry.actors.task_session.conversation import Conversation, conversation
from foundry.actors.task_session.drafts import keep
from foundry.actors.task_session.starts import (
    send_prompt,
    tell_to_stop,
)
from foundry.actors.task_session.tables import session_messages
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SessionId
from foundry.contracts.messages import millis, utc
from foundry.contracts.people import Person
from foundry.contracts.session_stream import (
    PromptSent,
    PromptUnknown,
)
from foundry.contracts.task import PromptEnded, PromptGranted, title_of
from foundry.contracts.task_session import (
    EntryKind,
    MessageState,
    ResendMessage,
    SendMessage,
    SessionStatus,
    WithdrawMessage,
)
from foundry.runtime.actor import due, handles, receives
from foundry.runtime.turn import Turn

ABLE = (SessionStatus.READY, SessionStatus.IDLE)


@handles(SendMessage)
def send_message(turn: Turn, command: SendMessage) -> None:
    """1. Queue it. 2. Ask the task for the work tree. 3. Its author's draft has been sent."""
    c = conversation(turn)
    c.refuse_closed()
    if c.message(command.id) is None:
        c.queue(command.id, command.text, command.person)
        if not c.state.title:
            c.state.title = title_of(command.text)
        keep(c, command.person.id, draft="")


@receives(PromptGranted)
def granted(turn: Turn, message: PromptGranted) -> None:
    """1. Mark it sending, with its JSON-RPC id. 2. Show it in the transcript. 3. Start to send it.

    While the agent is still being told to stop the last one, it waits: a late cancel would end this one instead.
    """
    c = conversation(turn)
    row, session = c.message(message.message), c.agent_session()
    if row is None or row.state != MessageState.QUEUED or c.status not in ABLE or session is None:
        outcome = row.state if row is not None and row.state != MessageState.QUEUED else "not_sent"
        c.tell(PromptEnded(session=SessionId(turn.key), message=message.message, outcome=outcome))
        if row is not None and row.state == MessageState.QUEUED:  # it keeps its place
            c.wait_for_the_work_tree(row.message, utc(row.at))
        return
    person = Person.model_validate_json(row.person)
    data = {"message": row.message, "login": person.login, "name": person.name, "avatar_url": person.avatar_url}
    entry = row.entry or c.transcript.add(EntryKind.USER, row.text, data)
    rpc_id = turn.new_id("rpc")
    workflow = None if turn.running("stop") else send_prompt(c, session, row, rpc_id, entry)
    c.move_message(row, MessageState.SENDING, rpc=rpc_id, entry=entry, workflow=workflow, outcome="", doubtful=False)
    c.state.running, c.state.lost, c.state.stopping = row.message, None, False
    c.state.prompted = True
    c.state.heard_at = millis(turn.now)
    turn.schedule("quiet", limit(turn, "agent quiet"))
    c.well()
    c.move(SessionStatus.RUNNING)


def send_held(c: Conversation) -> None:
    """Send the message that waits, once no workflow tells the agent to stop."""
    row, session = c.held(), c.agent_session()
    if row is not None and session is not None and not c.turn.running("stop"):
        workflow = send_prompt(c, session, row, row.rpc, row.entry)
        c.turn.update(session_messages, {"message": row.message}, workflow=workflow)


@handles(PromptSent)
def prompt_sent(turn: Turn, command: PromptSent) -> None:
    """The server has it. A stop that was requested meanwhile may have come too early, so it is sent again."""
    c = conversation(turn)
    if c.state.running == command.message:
        c.arrived()
        if c.state.stopping:
            tell_to_stop(c, [])


@handles(PromptUnknown)
def prompt_unknown(turn: Turn, command: PromptUnknown) -> None:
    """It is never sent again automatically. The stream gets some time to show that it has arrived."""
    c = conversation(turn)
    row = c.message(command.message)
    if c.state.running == command.message and row and row.state == MessageState.SENDING:
        turn.update(session_messages, {"message": command.message}, doubtful=True)
        turn.schedule("evidence", limit(turn, "prompt unknown"))


@due("evidence")
def no_evidence(turn: Turn) -> None:
    c = conversation(turn)
    row = c.message(c.state.running) if c.state.running else None
    if row and row.doubtful and row.state == MessageState.SENDING:
        c.end_prompt(MessageState.UNKNOWN, "unknown")
        c.in_doubt()


@handles(ResendMessage)
def resend(turn: Turn, command: ResendMessage) -> None:
    """Resend what failed or may have been sent. It becomes a new entry of the transcript when it is sent."""
    c = conversation(turn)
    c.refuse_closed()
    row = c.one_message(command.message)
    if row.state != MessageState.QUEUED:  # asked twice
        if row.state not in (MessageState.UNKNOWN, MessageState.FAILED):
            raise WrongState(f"message {row.message} is {row.state}; there is nothing to resend")
        if c.state.lost == row.message:
            c.state.lost = None
        c.move_message(row, MessageState.QUEUED, outcome="", rpc=None, entry=None, at=millis(turn.now))
        c.nothing_to_resend()
        c.wait_for_the_work_tree(row.message, turn.now)


@handles(WithdrawMessage)
def withdraw(turn: Turn, command: WithdrawMessage) -> None:
    """Cancel a message that the agent does not have. The task learns of it when it grants it the work tree."""
    c = conversation(turn)
    row = c.one_message(command.message)
    if row.state in (MessageState.SENDING, MessageState.RUNNING, MessageState.DONE):
        raise WrongState(f"message {row.message} is {row.state}", remedy="Stop the session instead.")
    if row.state != MessageState.CANCELLED:
        c.move_message(row, MessageState.CANCELLED, outcome="withdrawn")
        c.nothing_to_resend()
