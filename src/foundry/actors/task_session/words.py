"""The jobs of the session's workflows."""

from __future__ import annotations

from foundry.contracts.ids import MessageId, PermissionId, SandboxId, SessionId
from foundry.contracts.sessions import AgentSession
from foundry.contracts.words import Word


class Connect(Word):
    """Open the agent's session, or open it again."""

    session: SessionId
    sandbox: SandboxId
    agent: str
    earlier: AgentSession | None = None  # to load or resume, where the agent offers that
    fresh: bool = False  # a new server id, whatever was chosen before
    old_server: str | None = None  # whose agent must not run beside the new one


class SendPrompt(Word):
    session: SessionId
    sandbox: SandboxId
    agent_session: AgentSession
    message: MessageId
    rpc_id: str
    text: str
    context_without: str | None = None  # give the agent the recent transcript, but for this entry


class LookAtAgent(Word):
    session: SessionId
    sandbox: SandboxId
    server_id: str
    message: MessageId


class StopPrompt(Word):
    session: SessionId
    sandbox: SandboxId
    agent_session: AgentSession
    message: MessageId
    requests: list[str] = []  # permission requests to be cancelled, by JSON-RPC id


class Answer(Word):
    session: SessionId
    sandbox: SandboxId
    agent_session: AgentSession
    permission: PermissionId
    rpc_id: str
    option: str | None  # none: cancelled


class CloseServer(Word):
    sandbox: SandboxId
    server_id: str
