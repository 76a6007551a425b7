"""The workflows that a session starts for a prompt: each function builds one workflow's job."""

from __future__ import annotations

from foundry.actors.task_session.conversation import Conversation
from foundry.actors.task_session.jobs import Answer, LookAtAgent, SendPrompt, StopPrompt
from foundry.contracts.ids import MessageId, PermissionId, SandboxId, SessionId, WorkflowId
from foundry.contracts.session_stream import AgentSession
from foundry.runtime.columns import AnyRow


def send_prompt(c: Conversation, session: AgentSession, row: AnyRow, rpc_id: str, entry: str) -> WorkflowId:
    """Give the agent this message, at most once, with the recent transcript if the agent does not know it."""
    job = SendPrompt(
        session=SessionId(c.turn.key),
        sandbox=SandboxId(c.state.sandbox),
        agent_session=session,
        message=MessageId(row.message),
        rpc_id=rpc_id,
        text=row.text,
        context_without=entry if c.state.needs_context else None,
    )
    return c.turn.start("prompt", job)


def look_at_agent(c: Conversation) -> None:
    """Check if the agent of the running prompt works."""
    session = c.agent_session()
    if session and c.state.running:
        job = LookAtAgent(
            session=SessionId(c.turn.key),
            sandbox=SandboxId(c.state.sandbox),
            server_id=session.server_id,
            message=MessageId(c.state.running),
        )
        c.turn.start("look_at_agent", job)


def tell_to_stop(c: Conversation, requests: list[str]) -> None:
    """Cancel the running prompt, and these requests that it waits for."""
    session = c.agent_session()
    if session and c.state.running:
        job = StopPrompt(
            session=SessionId(c.turn.key),
            sandbox=SandboxId(c.state.sandbox),
            agent_session=session,
            message=MessageId(c.state.running),
            requests=requests,
        )
        c.turn.start("stop", job)


def deliver_answer(c: Conversation, permission: PermissionId, rpc: str, option: str | None) -> WorkflowId | None:
    """Answer a permission request; None cancels it. Return None if there is no agent to answer."""
    session = c.agent_session()
    if session is None:
        return None
    job = Answer(
        session=SessionId(c.turn.key),
        sandbox=SandboxId(c.state.sandbox),
        agent_session=session,
        permission=permission,
        rpc_id=rpc,
        option=option,
    )
    return c.turn.start("answer_permission", job)
