"""A session during one turn: its row, its transcript, and the messages for its task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast

from foundry.actors.task_session.row import State
from foundry.actors.task_session.tables import session_agents, session_messages, session_permissions, sessions
from foundry.actors.task_session.transcript import Transcript
from foundry.actors.task_session.transitions import MESSAGE, PERMISSION, SESSION, Verdict, verdict
from foundry.actors.task_session.views import ASKED
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import MessageId, SessionId, WorkflowId
from foundry.contracts.messages import Message, millis, utc
from foundry.contracts.overdue import Overdue
from foundry.contracts.people import Person
from foundry.contracts.session_stream import AgentSession, Signs
from foundry.contracts.task import PromptEnded, PromptWaiting
from foundry.contracts.task_session import (
    EntryKind,
    MessageState,
    PermissionState,
    SessionClosed,
    SessionFailure,
    SessionStatus,
    SessionView,
)
from foundry.contracts.transitions import advance
from foundry.runtime.columns import AnyRow
from foundry.runtime.turn import Turn

OPENING = ("open_session", "resume_session")  # workflows


def conversation(turn: Turn) -> Conversation:
    """The conversation that all parts share in this turn."""
    known = opened(turn)
    if known is None:
        known = turn.local = Conversation(turn)
    return known


def opened(turn: Turn) -> Conversation | None:
    return cast("Conversation | None", turn.local)


class Conversation:
    """Change `state` and `transcript` freely: the end of the turn writes and publishes them once."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.state = State.of(turn.one(sessions))
        self.before = replace(self.state)
        self.transcript = Transcript(turn, self.state)
        self.mail: list[Message] = []
        self.view: SessionView | None = None  # built at the turn's end, or when it is asked for
        self.attentive = False  # look at everything at the end, even if this turn has changed nothing
        self._shown: tuple[str | None, str | None] | None = None

    @property
    def status(self) -> SessionStatus:
        return SessionStatus(self.state.status)

    @property
    def without_a_prompt(self) -> SessionStatus:
        """The status while nothing runs."""
        return SessionStatus.IDLE if self.state.prompted else SessionStatus.READY

    @property
    def opening(self) -> WorkflowId | None:
        """The workflow that opens the agent's session, until it is open."""
        if self.state.connected:
            return None
        runs = [one for one in self.turn.running() if one.name in OPENING and not one.cancelling]
        return runs[-1].id if runs else None

    def refuse_closed(self) -> None:
        if self.status is SessionStatus.CLOSED:
            raise SessionClosed(f"session {self.turn.key} is closed")

    def move(self, to: SessionStatus) -> None:
        if self.status is not to:
            self.state.status = advance(SESSION, f"session {self.turn.key}", self.status, to).value
            self.state.status_since = millis(self.turn.now)

    def tell(self, message: Message) -> None:
        """Send it to the task, after this session's status."""
        self.mail.append(message)

    def tell_again(self) -> None:
        """Send the task the session's status although it has not changed, because the task asked for it."""
        self.turn.tell_again()
        self.attentive = True

    def failure(self, code: str, message: str, remedy: str, *actions: str, attempt: int = 1,
                retry_at: object = None) -> None:  # fmt: skip
        self.state.failure = SessionFailure.model_validate(
            {
                "code": code,
                "message": message,
                "remedy": remedy,
                "actions": list(actions),
                "attempt": attempt,
                "retry_at": retry_at,
                "at": self.turn.now,
            }
        ).model_dump_json()

    def well(self) -> None:
        self.state.failure = None

    def in_doubt(self, message: str = "The message may have been sent.") -> None:
        """Show that the agent may have received a message; a person decides what to do."""
        self.failure("prompt_unknown", message, "Look at the work, then resend.", "resend")

    def well_but_for_doubts(self) -> None:
        """The agent runs again. A message that may have been sent is still shown as such."""
        self.well()
        if self.turn.all(session_messages, state=MessageState.UNKNOWN.value, limit=1):
            self.in_doubt()

    def nothing_to_resend(self) -> None:
        """A message was resent, withdrawn or had arrived. If no other one can be resent, the failure is over."""
        failure = self.state.failure and SessionFailure.model_validate_json(self.state.failure)
        lost = [MessageState.UNKNOWN.value, MessageState.FAILED.value]
        if failure and failure.actions == ["resend"] and not self.turn.all(
            session_messages, session_messages.c.state.in_(lost), limit=1
        ):  # fmt: skip
            self.well()

    def tries_again(self) -> bool:
        """True if Foundry automatically tries again what has failed."""
        return (
            self.state.failure is not None
            and SessionFailure.model_validate_json(self.state.failure).retry_at is not None
        )

    def overdue(self) -> Overdue | None:
        """What lasted too long when this turn began."""
        return Overdue.model_validate_json(self.state.overdue) if self.state.overdue else None

    def agent_session(self) -> AgentSession | None:
        return AgentSession.model_validate_json(self.state.agent_session) if self.state.agent_session else None

    # messages and permissions

    def message(self, message: str) -> AnyRow | None:
        return self.turn.find(session_messages, message=message)

    def agent_says(self, **values: str) -> None:
        """Store the agent's mode, commands or usage."""
        row = self.turn.find(session_agents)
        if row is None:
            self.turn.insert(session_agents, **{"mode": "", "commands": "[]", "usage": "{}", **values})
        elif any(getattr(row, name) != value for name, value in values.items()):
            self.turn.update(session_agents, **values)

    def one_message(self, message: MessageId) -> AnyRow:
        """
        Raises:
            NotFound: the session has no such message.
        """
        row = self.message(message)
        if row is None:
            raise NotFound(f"session {self.turn.key} has no message {message}")
        return row

    def queue(self, message: MessageId, text: str, person: Person) -> None:
        """Put a message at the end of the queue, and ask the task for the work tree."""
        last = self.turn.all(session_messages, order_by=session_messages.c.number.desc(), limit=1)
        self.turn.insert(
            session_messages,
            message=message,
            number=last[0].number + 1 if last else 1,
            text=text,
            person=person.model_dump_json(),
            state=MessageState.QUEUED.value,
            at=millis(self.turn.now),
        )
        self.wait_for_the_work_tree(message, self.turn.now)

    def wait_for_the_work_tree(self, message: str, said_at: datetime) -> None:
        self.tell(PromptWaiting(session=SessionId(self.turn.key), message=message, said_at=said_at))

    def move_message(self, row: AnyRow, to: MessageState, **values: object) -> None:
        advance(MESSAGE, f"message {row.message}", MessageState(row.state), to)
        self.turn.update(session_messages, {"message": row.message}, state=to.value, **values)

    def move_permission(self, row: AnyRow, to: PermissionState, **values: object) -> None:
        advance(PERMISSION, f"permission {row.permission}", PermissionState(row.state), to)
        self.turn.update(session_permissions, {"permission": row.permission}, state=to.value, **values)
        done = to in (PermissionState.ANSWERED, PermissionState.GONE)
        shown: dict[str, object] = {"state": to.value}
        if "answer" in values:
            shown["answer"] = values["answer"]
        self.transcript.card(f"permission:{row.permission}", EntryKind.PERMISSION, shown, done=done)

    def asked(self) -> Sequence[AnyRow]:
        """The permission requests that are not over."""
        asked = session_permissions.c.state.in_([state.value for state in ASKED])
        return self.turn.all(session_permissions, asked, order_by=session_permissions.c.permission)

    def drop_permissions(self) -> list[str]:
        """The agent no longer waits for any of them. Return their JSON-RPC ids."""
        rows = self.asked()
        for row in rows:
            self.move_permission(row, PermissionState.GONE)
        return [row.rpc for row in rows]

    # the prompt that runs

    def arrived(self) -> None:
        """The agent has shown that it has the prompt."""
        state = self.state
        if self._shown == (state.running, state.lost):
            return  # looked up once a turn, not once a chunk
        self._shown = (state.running, state.lost)
        if state.running is None and state.lost and self.status is SessionStatus.IDLE:
            row = self.message(state.lost)
            if row and row.state == MessageState.UNKNOWN:  # it had been delivered after all
                state.running, state.lost = state.lost, None
                self.move_message(row, MessageState.RUNNING)
                self.move(SessionStatus.RUNNING)
                self.nothing_to_resend()
            return
        row = self.message(state.running) if state.running else None
        if row and row.state == MessageState.SENDING:
            self.move_message(row, MessageState.RUNNING)
            self.turn.unschedule("evidence")
            state.needs_context = False

    def end_prompt(self, to: MessageState, outcome: str, *, status: SessionStatus | None = SessionStatus.IDLE) -> None:
        """1. Close what was open. 2. Say how it ended. 3. The work tree is free.

        Args:
            status: the session's next; None leaves it to the caller.
        """
        state = self.state
        row = self.message(state.running) if state.running else None
        if row is None:
            return
        self.transcript.end_text()
        for card in self.transcript.open_cards("tool:"):
            unfinished = {} if to is MessageState.DONE else {"status": "cancelled"}
            self.transcript.card(card, EntryKind.TOOL, unfinished, done=True)
        self.drop_permissions()
        self.transcript.add(EntryKind.STOP, outcome, {"message": row.message, "state": to.value})
        self.move_message(row, to, outcome=outcome)
        state.lost = row.message if to is MessageState.UNKNOWN else None
        state.running, state.stopping = None, False
        if to in (MessageState.DONE, MessageState.CANCELLED):
            state.resumed, state.needs_context = False, False
            self.well()  # failure with sending or stopping it is over
        for alarm in ("stop", "evidence", "quiet"):
            self.turn.unschedule(alarm)
        if status:
            self.move(status)
        self.tell(PromptEnded(session=SessionId(self.turn.key), message=row.message, outcome=outcome))

    def verdict(self, signs: Signs, quiet: bool) -> Verdict:
        """Decide if the running prompt has ended although the agent has not said so."""
        said_last = self.transcript.open_kind is EntryKind.AGENT
        tools, asks = bool(self.transcript.open_cards("tool:")), bool(self.asked())
        return verdict(signs, quiet=quiet, said_last=said_last, tools=tools, asks=asks)

    def held(self) -> AnyRow | None:
        """The next message, if it has to wait until the agent was told to stop the last one."""
        row = self.message(self.state.running) if self.state.running else None
        return row if row is not None and row.state == MessageState.SENDING and not row.workflow else None

    def cancel_sending(self) -> None:
        row = self.message(self.state.running) if self.state.running else None
        if row and row.workflow:
            self.turn.cancel(WorkflowId(row.workflow))

    def take_back(self, reason: str) -> None:
        """The running prompt was certainly not sent: put it back in the queue, before later messages."""
        row = self.message(self.state.running) if self.state.running else None
        if row is None:
            return
        self.move_message(row, MessageState.QUEUED, outcome=reason)
        self.state.running, self.state.stopping = None, False
        for alarm in ("stop", "evidence", "quiet"):
            self.turn.unschedule(alarm)
        self.tell(PromptEnded(session=SessionId(self.turn.key), message=row.message, outcome="not_sent"))
        self.wait_for_the_work_tree(row.message, utc(row.at))
