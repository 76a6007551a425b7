"""TaskSession, the agent's side: its session, its event stream, what workflows tell of both."""

from __future__ import annotations

from typing import Literal

from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import MessageId, PermissionId
from foundry.contracts.messages import Command, Json, Model
from foundry.contracts.task_session import EntryKind


class PromptDoubtful(FoundryError, code="prompt_doubtful", status=502):
    """The connection broke while Foundry sent a message to the agent. The agent may have the message."""

    remedy = "Look at the work, then resend the message if it is still needed."


EACH_TRY = "-"  # the end of a chosen server id that each try of the opening completes with its own part


def chosen_for(server_id: str) -> str:
    """The chosen server id of which a try of the opening made this one."""
    return server_id[: server_id.rfind(EACH_TRY) + 1] or server_id


def made_of(server_id: str, chosen: str) -> bool:
    """True for the chosen server id itself, and for one that a try of the opening made of it."""
    return chosen in (server_id, chosen_for(server_id))


class AgentSession(Model):
    """An agent's session as ACP gave it. The server id is the epoch of its event ids: never used twice."""

    server_id: str
    agent_session_id: str
    can_load: bool = False
    can_resume: bool = False
    modes: list[str] = []
    mode: str = ""
    replay_ends: str = ""  # the JSON-RPC id whose response ends the replay of a load; none: nothing is replayed


class ChooseServer(Command[str]):
    """To TaskSession, by a step: the server id to open under, chosen before and kept until opened or given up.

    It ends with `EACH_TRY`, except one that release 0.2 chose.
    """

    fresh: bool = False


class SessionOpened(Command[None]):
    """To TaskSession, by a step: the agent's session exists."""

    opened: AgentSession
    how: Literal["new", "load", "resume"] = "new"


class StreamItem(Model):
    """One event of the ACP stream, as it came."""

    event_id: int
    message: Json


class Ingest(Command[int]):
    """To TaskSession, by SessionStatusSync's worker: what the stream brought; answered with the cursor.

    What the cursor has passed is ignored; a jump in ids becomes a gap entry. No items: only ask for the cursor.
    Answered with -1 if this server is not the session's (any more): follow it no longer.
    """

    server_id: str
    items: list[StreamItem]


class TakeLate(Command[int]):
    """To TaskSession, by a step: what an agent had said before it was cut off, and nobody had read.

    Only its words are taken; a jump in ids becomes a gap entry. Answered with the cursor; -1: nothing is missing.
    """

    server_id: str
    items: list[StreamItem]


class StreamLost(Command[None]):
    """To TaskSession, by the worker: nobody answers (it goes on trying), or the ACP server is gone for good."""

    server_id: str
    message: str
    gone: bool = True


class StreamBack(Command[None]):
    """To TaskSession, by the worker: after a `StreamLost` that was not for good, the stream flows again."""

    server_id: str


class ToldPart(Model):
    """What an agent's own history tells: words, a tool call or a plan."""

    kind: EntryKind
    text: str = ""
    id: str = ""  # of the tool call, or of the message whose plan it is
    data: Json = {}


class Filling(Model):
    """What belongs where a gap is, in order; nothing: the agent had said nothing there that is shown."""

    gap: str  # the entry
    parts: list[ToldPart]


class FillGaps(Command[None]):
    """To TaskSession, by a step: what the agent's own history tells of the transcript's gaps."""

    fillings: list[Filling] = []
    completed: list[ToldPart] = []  # what the transcript has, with what the history knows beyond it
    missing: list[str] = []  # the gaps that the history cannot fill either


class PromptSent(Command[None]):
    """To TaskSession, by a step: the POST was accepted."""

    message: MessageId


class PromptUnknown(Command[None]):
    """To TaskSession, by a step: an attempt had begun and its outcome is not known. The stream may still tell."""

    message: MessageId


class Signs(Model):
    """What shows whether an agent is at work, beside its words."""

    alive: bool  # its server is known and its process has not ended
    busy: bool  # something in the sandbox uses the processor


class AgentSeen(Command[None]):
    """To TaskSession, by a step: what the agent of a quiet stream looks like."""

    message: MessageId
    signs: Signs


class Stopped(Command[None]):
    """To TaskSession, by a step: the agent has been told to stop; the stream tells when it has."""

    message: MessageId


class PermissionDelivered(Command[None]):
    permission: PermissionId
