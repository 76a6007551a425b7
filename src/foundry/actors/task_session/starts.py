"""The long work a session starts: each function is one workflow's job, put together in a turn."""

from __future__ import annotations

from foundry.actors.task_session.conversation import Conversation
from foundry.actors.task_session.gaps import try_all, untried
from foundry.actors.task_session.jobs import Answer, Connect, LookAtAgent, SendPrompt, StopPrompt
from foundry.contracts.ids import MessageId, PermissionId, SandboxId, SessionId, WorkflowId
from foundry.contracts.session_stream import AgentSession
from foundry.contracts.task_session import EntryKind, SessionStatus
from foundry.runtime.turn import AnyRow


def start_opening(c: Conversation, *, installed: bool = False) -> None:
    """Open the agent's session."""
    c.turn.start("open_session", _connection(c).model_copy(update={"installed": installed}))


def _connection(c: Conversation) -> Connect:
    return Connect(
        session=SessionId(c.turn.key),
        sandbox=SandboxId(c.state.sandbox),
        agent=c.state.agent,
        earlier=c.agent_session(),
    )


def reconnect(c: Conversation, why: str) -> None:
    """A person asks: with the agent's earlier session if there was one, else as the first time."""
    if c.agent_session():
        c.resume(why)
    else:
        c.failure("opening", why, "Foundry is opening the agent's session.")
        c.turn.start("resume_session", _connection(c))  # sandbox-agent may be what failed


def wake_agent(c: Conversation) -> None:
    """The sandbox is stopped: start it, then the agent, with its earlier session where it keeps one."""
    earlier = c.agent_session()
    old = earlier.server_id if earlier else None
    job = _connection(c).model_copy(update={"fresh": True, "old_server": old, "load": try_all(c.turn)})
    c.state.sandbox_stopped = False
    if c.status is not SessionStatus.PENDING:
        c.move(SessionStatus.PENDING)
    c.turn.start("resume_session", job)


def look_back(c: Conversation) -> None:
    """Once nothing runs: an agent that can is made to tell what the transcript lacks, by loading its session anew.

    Once for each gap; messages wait meanwhile, as they do whenever the agent is started.
    """
    state, session = c.state, c.agent_session()
    if c.status is not SessionStatus.IDLE or not state.connected or session is None or not session.can_load:
        return
    if state.running or state.lost or c.opening or state.unreachable or state.replay_ends or not untried(c.turn):
        return
    text = "Some of what the agent said is missing above. Foundry starts it again, to read that in its own history."
    c.transcript.add(EntryKind.NOTE, text)
    update = {"fresh": True, "old_server": c.disconnect(), "load": try_all(c.turn)}
    c.move(SessionStatus.PENDING)
    c.turn.start("resume_session", _connection(c).model_copy(update=update))


def stop_opening(c: Conversation) -> None:
    if c.opening:
        c.turn.cancel(c.opening)


def give_up_opening(c: Conversation) -> None:
    """What hangs is left behind: the next opening is under another server id."""
    stop_opening(c)
    c.give_up_server()


def send_prompt(c: Conversation, session: AgentSession, row: AnyRow, rpc_id: str, entry: str) -> WorkflowId:
    """Give the agent this message, at most once, with the recent transcript if it knows nothing of it."""
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
    """See whether the agent of the running prompt is at work."""
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
    """Answer a permission request; None cancels it. Gives nothing if there is no agent to answer."""
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
