"""The connection with the agent: opened, lost, and opened again under a new server id."""

from __future__ import annotations

from foundry.actors.task_session.conversation import Conversation
from foundry.actors.task_session.gaps import try_all, untried
from foundry.actors.task_session.jobs import CloseServer, Connect
from foundry.contracts import addresses
from foundry.contracts.ids import SandboxId, SessionId
from foundry.contracts.session_status_sync import StopReading
from foundry.contracts.task_session import EntryKind, MessageState, SessionStatus

STARTING = "Foundry is starting the agent again."


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


def stop_opening(c: Conversation) -> None:
    if c.opening:
        c.turn.cancel(c.opening)


def give_up_opening(c: Conversation) -> None:
    """Leave an opening that hangs. The next one uses another server id."""
    stop_opening(c)
    give_up_server(c)


# the agent is lost


def agent_gone(c: Conversation, message: str) -> None:
    """1. What ran may have been executed: unknown. 2. Say so. 3. Start the agent again automatically, once."""
    cut_off(c)
    old = disconnect(c)
    c.move(SessionStatus.ERROR)
    if c.state.resumed:
        c.transcript.add(EntryKind.NOTE, message)
        c.failure("acp_server_gone", message, "Resume the session.", "resume")
    else:
        c.state.resumed = True
        resume(c, message, old)


def cut_off(c: Conversation) -> None:
    """The agent is gone: the running prompt may have been executed, and no agent waits for an answer."""
    if c.held() is not None:
        c.take_back("not_sent")
    c.cancel_sending()
    c.end_prompt(MessageState.UNKNOWN, "unknown", status=None)
    c.state.lost = None  # its server's stream has ended
    c.transcript.end_text()
    c.drop_permissions()


def disconnect(c: Conversation) -> str | None:
    """Stop reading the stream of the session's server; return the server's id."""
    server, c.state.server = c.state.server, None
    if c.state.connected and not c.state.replay_ends:  # during a replay, the end of the stream repeats the past
        c.state.unread = server
    if c.state.connected:
        c.turn.send(addresses.status_sync(SessionId(c.turn.key)), StopReading())
    c.state.connected, c.state.unreachable, c.state.replay_ends = False, False, ""
    c.turn.unschedule("unreachable")
    return server


def give_up_server(c: Conversation) -> None:
    """Never use the server id again. What runs under it is ended in the background."""
    server = disconnect(c)
    if server:
        c.turn.start("close_server", CloseServer(sandbox=SandboxId(c.state.sandbox), server_id=server))


# the agent is started again


def reconnect(c: Conversation, why: str) -> None:
    """A person asks: use the agent's earlier session if there was one; otherwise open a first one."""
    if c.agent_session():
        resume(c, why)
    else:
        c.failure("opening", why, "Foundry is opening the agent's session.")
        c.turn.start("resume_session", _connection(c))  # sandbox-agent may be what failed


def resume(c: Conversation, message: str, old_server: str | None = None) -> None:
    """Start the agent after it was lost, and show why."""
    earlier = c.agent_session()
    cut_off(c)
    old_server = old_server or disconnect(c) or (earlier.server_id if earlier else None)
    c.transcript.add(EntryKind.NOTE, f"{message} {STARTING}".strip())
    c.failure("acp_server_gone", message, STARTING)
    _start_again(c, old_server)


def wake_agent(c: Conversation) -> None:
    """The sandbox is stopped: start it, then the agent."""
    earlier = c.agent_session()
    c.state.sandbox_stopped = False
    if c.status is not SessionStatus.PENDING:
        c.move(SessionStatus.PENDING)
    _start_again(c, earlier.server_id if earlier else None)


def look_back(c: Conversation) -> None:
    """Once nothing runs: restart an agent that can load its session, if its history may fill gaps of the transcript.

    This happens once for each gap. Messages wait meanwhile, as at any start of the agent.
    """
    state, session = c.state, c.agent_session()
    if c.status is not SessionStatus.IDLE or not state.connected or session is None or not session.can_load:
        return
    if state.running or state.lost or c.opening or state.unreachable or state.replay_ends or not untried(c.turn):
        return
    text = "Some of what the agent said is missing above. Foundry starts it again, to read that in its own history."
    c.transcript.add(EntryKind.NOTE, text)
    old_server = disconnect(c)
    c.move(SessionStatus.PENDING)
    _start_again(c, old_server)


def _start_again(c: Conversation, old_server: str | None) -> None:
    """Under a new server id, with the earlier session where the agent kept it; loaded if that may fill gaps."""
    more = {"fresh": True, "old_server": old_server, "load": try_all(c.turn)}
    c.turn.start("resume_session", _connection(c).model_copy(update=more))
