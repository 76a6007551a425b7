"""Sessions: one conversation with one agent; its queue, its transcript, its permission requests."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import MessageId, PermissionId, SandboxId, SessionId, TaskId, UserId
from foundry.contracts.messages import Birth, Command, Event, Json, Message, Model
from foundry.contracts.overdue import Overdue
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import AgentName, Prompt

DRAFT_LIMIT = 100_000  # characters


Draft = Annotated[str, StringConstraints(max_length=DRAFT_LIMIT)]


class SessionStatus(StrEnum):
    """Derived from the protocol, never from matching strings (docs/states.md)."""

    PENDING = "pending"  # no agent session yet
    READY = "ready"  # the agent waits for its first prompt
    RUNNING = "running"  # a prompt is with the agent
    IDLE = "idle"  # the last prompt has ended
    ERROR = "error"  # the agent or its server is gone, or refused; `failure` says what to do
    CLOSED = "closed"


class MessageState(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"  # marked before the external call; never sent again by itself after this
    RUNNING = "running"  # the agent has shown that it has it
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"  # refused by the agent
    UNKNOWN = "unknown"  # may have been sent; a person decides about Resend


class PermissionState(StrEnum):
    WAITING = "waiting"
    ANSWERING = "answering"
    ANSWERED = "answered"
    GONE = "gone"  # the agent no longer waits for it


class SessionClosed(FoundryError, code="session_closed", status=409):
    """The session accepts no more messages."""

    remedy = "Open another session on the task."


class SessionFailure(Model):
    code: str
    message: str
    remedy: str
    actions: list[str] = []  # resend, resume, stop
    attempt: int = 1
    retry_at: datetime | None = None  # absent: nothing happens by itself
    at: datetime


class QueuedMessage(Model):
    """A person's message, from the queue to its end."""

    id: MessageId
    text: str
    person: Person
    state: MessageState
    at: datetime
    outcome: str = ""


class PermissionOption(Model):
    id: str
    name: str
    kind: str  # allow_once, allow_always, reject_once, reject_always


class PermissionView(Model):
    id: PermissionId
    title: str
    detail: str = ""
    options: list[PermissionOption]
    state: PermissionState
    answer: str | None = None  # the chosen option's id
    answered_by: Person | None = None
    at: datetime


class EntryKind(StrEnum):
    """What a transcript's entry is."""

    USER = "user"  # a person's message, as it was sent to the agent
    AGENT = "agent"  # the agent's words
    THOUGHT = "thought"
    TOOL = "tool"
    PLAN = "plan"
    PERMISSION = "permission"
    STOP = "stop"  # a turn's end, with its reason
    GAP = "gap"  # events that were missed, and how many; `looked`: the agent's own history does not have them either
    NOTE = "note"  # what Foundry did: resumed, restarted


class Entry(Model):
    """One entry of a transcript: its whole present state."""

    id: str
    position: int  # order in the transcript; the version at which it first appeared
    part: int = 0  # order among those of one position: what was found later and put into a gap
    kind: EntryKind
    text: str = ""
    complete: bool = True
    data: Json = {}  # tool call: title, kind, status, content, locations; plan: entries; `filled`: from a load
    at: datetime


class EntryChanged(Event):
    """On `session`: the whole new entry."""

    entry: Entry


class MessageDelta(Event):
    """On `session`: text appended to the entry `entity`. Offset 0 begins it, incomplete, at this position.

    An offset that does not match the text so far means resync. Offsets count Unicode code points.
    """

    position: int
    kind: EntryKind
    offset: int  # code points
    text: str
    at: datetime


class SessionView(Model):
    """A session without its transcript."""

    id: SessionId
    task: TaskId
    repository: RepositoryRef
    title: str = ""
    agent: str
    status: SessionStatus
    status_since: datetime
    failure: SessionFailure | None = None
    overdue: Overdue | None = None  # what lasts longer than it should
    messages: list[QueuedMessage] = []  # those not yet in the transcript: queued, sending, unknown, failed
    permissions: list[PermissionView] = []  # those waiting or being answered
    running: MessageId | None = None  # the message the agent works on
    stopping: bool = False  # it was asked to stop and has not yet
    sandbox_stopped: bool = False  # its agent went with the sandbox that nobody used; the next message brings both back
    mode: str = ""  # the agent's present mode, where it has modes
    commands: list[str] = []  # slash commands it offers
    usage: Json = {}  # tokens and cost, as the agent tells them
    created_at: datetime


class SessionChanged(Event):
    """On `session`: the whole new session."""

    session: SessionView


class PersonalView(Model):
    """What one person keeps in a session (R7)."""

    session: SessionId
    draft: str = ""
    read_position: int = 0  # entries at or below it have been read
    unread: int = 0  # entries of the agent's above it


class PersonalChanged(Event):
    """On `session`, to that person only: their draft or what they have read."""

    draft: str
    read_position: int


class SendMessage(Command[SessionView]):
    """To TaskSession: a person's message; queued while the agent runs."""

    id: MessageId
    text: Prompt
    person: Person


class StopSession(Command[SessionView]):
    """To TaskSession: end the running prompt (session/cancel)."""

    person: Person


class ResendMessage(Command[SessionView]):
    """To TaskSession: queue a message again whose outcome is unknown or that failed."""

    message: MessageId
    person: Person


class ResumeSession(Command[SessionView]):
    """To TaskSession: connect to the agent again after an error."""

    person: Person


class WithdrawMessage(Command[SessionView]):
    """To TaskSession: take back a queued message, or dismiss one that failed or may have been sent."""

    message: MessageId
    person: Person


class SaveDraft(Command[None]):
    """To TaskSession: what this person is about to write."""

    person: UserId
    text: Draft


class MarkRead(Command[None]):
    """To TaskSession: this person has read so far; 0 makes everything unread again."""

    person: UserId
    position: int


class AnswerPermission(Command[SessionView]):
    """To TaskSession: one of the options the agent offers."""

    permission: PermissionId
    option: str
    person: Person


class CreateSession(Message, Birth):
    """Task -> TaskSession: its first word."""

    id: SessionId
    task: TaskId
    repository: RepositoryRef
    sandbox: SandboxId
    agent: AgentName
    prompt: Prompt | None = None
    message: MessageId | None = None
    person: Person


class OpenAgent(Message):
    """Task -> TaskSession: the sandbox is ready; open the agent's session. Ignored while that runs or is done."""

    anew: bool = False  # an opening that runs is given up first: a person found that it hangs
    wake: bool = False  # the sandbox is stopped: start it first
    installed: bool = False  # provisioning has just installed the agent


class CloseSession(Message):
    """Task -> TaskSession: the task is archived."""

    reason: str = ""


class StopWithSandbox(Command[None]):
    """To TaskSession, by a step: nobody uses the sandbox, and it is about to be stopped, the agent with it."""


class SandboxLost(Message):
    """Task -> TaskSession: the sandbox is being made anew; the agent's session is gone with the old one.

    The session is pending until the next `OpenAgent`.
    """

    sandbox: SandboxId | None = None  # the new one, if it has another id
