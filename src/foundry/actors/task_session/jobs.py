"""The jobs of the session's workflows."""

from __future__ import annotations

from foundry.contracts.ids import MessageId, PermissionId, SandboxId, SessionId
from foundry.contracts.messages import Model
from foundry.contracts.session_stream import AgentSession
from foundry.contracts.task_session import EntryKind

INTRODUCTION = (
    "Your process was started anew and your earlier session could not be kept. The end of the conversation so far:"
)
SEPARATOR = "---"  # between what introduces a message and the message


def introduced(context: str, text: str) -> str:
    """The prompt for an agent that knows nothing of the conversation: its recent part, then the person's text."""
    return f"{INTRODUCTION}\n\n{context}\n\n{SEPARATOR}\n\n{text}"


def is_prompt(told: str, text: str) -> bool:
    """Compare the prompt that an agent replays with the person's text, except for white space and an introduction."""
    told, text = " ".join(told.split()), " ".join(text.split())
    return told == text or (told.startswith(INTRODUCTION) and told.endswith(f" {SEPARATOR} {text}"))


class Connect(Model):
    """Open the agent's session, or open it again."""

    session: SessionId
    sandbox: SandboxId
    agent: str
    earlier: AgentSession | None = None  # to load or resume, if the agent supports it
    load: bool = False  # rather than resume: its history may fill gaps of the transcript
    installed: bool = False  # the agent has just been installed
    fresh: bool = False  # a new server id, even if one was chosen before
    old_server: str | None = None  # its agent must not run beside the new one


class Piece(Model):
    """One entry of a turn in the transcript, or a part of a turn in the agent's history."""

    kind: EntryKind
    text: str = ""
    id: str = ""  # a gap: the entry; a tool call: the agent's id
    done: bool = True  # a tool call: the agent has said how it ended


class GapTurn(Model):
    """A turn in which something is missing."""

    prompt: str
    message: str
    number: int  # among the prompts in the same words, from 0
    of: int  # how many of them there are
    pieces: list[Piece]


class SendPrompt(Model):
    session: SessionId
    sandbox: SandboxId
    agent_session: AgentSession
    message: MessageId
    rpc_id: str
    text: str
    context_without: str | None = None  # give the agent the recent transcript, without this entry


class LookAtAgent(Model):
    session: SessionId
    sandbox: SandboxId
    server_id: str
    message: MessageId


class StopPrompt(Model):
    session: SessionId
    sandbox: SandboxId
    agent_session: AgentSession
    message: MessageId
    requests: list[str] = []  # permission requests to be cancelled, by JSON-RPC id


class Answer(Model):
    session: SessionId
    sandbox: SandboxId
    agent_session: AgentSession
    permission: PermissionId
    rpc_id: str
    option: str | None  # none: cancelled


class CloseServer(Model):
    sandbox: SandboxId
    server_id: str
