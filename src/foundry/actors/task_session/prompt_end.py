"""How a prompt ends when the agent does not say so: stopped by a person, or silent for too long."""

from __future__ import annotations

from foundry.actors.task_session.config import limit
from foundry.actors.task_session.connection import agent_gone, look_back, resume
from foundry.actors.task_session.conversation import conversation
from foundry.actors.task_session.starts import look_at_agent, tell_to_stop
from foundry.actors.task_session.transitions import Verdict
from foundry.contracts.errors import WrongState
from foundry.contracts.messages import utc
from foundry.contracts.session_stream import (
    AgentSeen,
    Stopped,
)
from foundry.contracts.task_session import (
    MessageState,
    SessionStatus,
    StopSession,
)
from foundry.runtime.actor import due, handles
from foundry.runtime.turn import Turn


@handles(StopSession)
def stop(turn: Turn, command: StopSession) -> None:
    """1. Tell the agent. 2. Cancel its permission requests. 3. The stream says when it has stopped.

    A message that still waits was not given to the agent: it is cancelled at once.
    """
    c = conversation(turn)
    if c.status is not SessionStatus.RUNNING:
        raise WrongState(f"the session is {c.status.value}; nothing runs that could be stopped")
    if c.held() is not None:
        c.end_prompt(MessageState.CANCELLED, "cancelled")
    elif not c.state.stopping:
        c.state.stopping = True
        tell_to_stop(c, c.drop_permissions())
        turn.schedule("stop", limit(turn, "stopping"))


@handles(Stopped)
def stop_delivered(turn: Turn, command: Stopped) -> None:
    """The agent was told; the time limit starts now."""
    if conversation(turn).state.running == command.message:
        turn.schedule("stop", limit(turn, "stopping"))


@due("stop")
def stop_overdue(turn: Turn) -> None:
    """End an agent that does not stop, and start it again."""
    c = conversation(turn)
    if c.state.stopping and c.state.running and c.status is SessionStatus.RUNNING:
        c.end_prompt(MessageState.CANCELLED, "cancelled", status=SessionStatus.ERROR)
        c.state.resumed = True
        resume(c, "The agent did not stop when asked.")


@due("quiet")
def quiet(turn: Turn) -> None:
    """1. Set the next alarm. 2. If the agent has said nothing for long, check if it works."""
    c, after = conversation(turn), limit(turn, "agent quiet")
    if c.state.running and c.status is SessionStatus.RUNNING:
        silence = turn.now - utc(c.state.heard_at)
        turn.schedule("quiet", after if silence >= after else after - silence)
        if silence >= after:
            look_at_agent(c)


@handles(AgentSeen)
def agent_seen(turn: Turn, command: AgentSeen) -> None:
    """End a turn that seems to have ended without a response. Tell the agent to stop, in case it has not ended."""
    c = conversation(turn)
    if c.state.running == command.message and not c.state.stopping:
        silence = turn.now - utc(c.state.heard_at)
        match c.verdict(command.signs, silence >= limit(turn, "agent quiet")):
            case Verdict.GONE:
                agent_gone(c, "The agent's process is gone.")
            case Verdict.ENDED:
                tell_to_stop(c, [])
                c.end_prompt(MessageState.DONE, "quiet")
            case Verdict.WORKS:
                pass
    look_back(c)
