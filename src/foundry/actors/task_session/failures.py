"""What a failed attempt of a session's workflow means for the session. The runtime records the runtime issue."""

from __future__ import annotations

from foundry.actors.task_session.config import limit
from foundry.actors.task_session.connection import agent_gone, give_up_server
from foundry.actors.task_session.conversation import Conversation, conversation
from foundry.actors.task_session.messages import send_held
from foundry.actors.task_session.tables import session_permissions
from foundry.contracts.ids import SandboxId
from foundry.contracts.issues import Trouble, WorkflowEnded, WorkflowRecovered, WorkflowTrouble
from foundry.contracts.sandbox_instance import SandboxMissing
from foundry.contracts.sandbox_provider import AcpServerGone, SandboxGone, SandboxUnreachable
from foundry.contracts.task_session import MessageState, PermissionState, SessionStatus
from foundry.runtime.actor import handles, receives
from foundry.runtime.turn import Turn


@handles(WorkflowTrouble)
def attempt_failed(turn: Turn, command: WorkflowTrouble) -> None:
    """Show what to do, and when the next attempt is."""
    _take(turn, command.trouble)


@receives(WorkflowEnded)
def workflow_ended(turn: Turn, message: WorkflowEnded) -> None:
    """1. A failure ends what the workflow was for. 2. Send a message that waited until the agent was told to stop."""
    c = conversation(turn)
    c.attentive = True
    if message.trouble is not None:
        _take(turn, message.trouble)
    send_held(c)


def _take(turn: Turn, trouble: Trouble) -> None:
    if take_trouble(conversation(turn), trouble):
        turn.schedule("unreachable", limit(turn, "sandbox unreachable"))


@handles(WorkflowRecovered)
def attempt_succeeded(turn: Turn, command: WorkflowRecovered) -> None:
    """Stop showing failed attempts. Trouble that is not tried again automatically stays."""
    c = conversation(turn)
    if c.tries_again():
        c.well()


def take_trouble(c: Conversation, trouble: Trouble) -> bool:
    """Show it; that of the last attempt ends what the workflow was for. True: give the sandbox time to come back."""
    match trouble.workflow:
        case "open_session" | "resume_session" if _was_opening(c, trouble):
            _opening(c, trouble)
        case "prompt":
            return _prompt(c, trouble)
        case "answer_permission":
            _answer(c, trouble)
        case "stop" if c.state.stopping:
            _show(c, trouble, "stop")
        case _:
            pass  # the runtime issue is enough
    return False


def _was_opening(c: Conversation, trouble: Trouble) -> bool:
    """True if the session waits for this workflow, or for none because it has just ended."""
    waits = c.status is not SessionStatus.CLOSED and not c.state.connected
    return waits and c.opening in (None, trouble.workflow_id)


def _show(c: Conversation, trouble: Trouble, *actions: str) -> None:
    c.trouble(
        trouble.code,
        trouble.message,
        trouble.remedy,
        *actions,
        attempt=trouble.attempt,
        retry_at=trouble.retry_at,
    )


def _opening(c: Conversation, trouble: Trouble) -> None:
    if trouble.retry_at is not None:
        _show(c, trouble)
        return
    _show(c, trouble, "resume")
    give_up_server(c)
    c.move(SessionStatus.ERROR)
    if trouble.code == SandboxGone.code:  # its task creates another one
        c.tell(SandboxMissing(sandbox=SandboxId(c.state.sandbox)))


def _prompt(c: Conversation, trouble: Trouble) -> bool:
    """A message that was certainly not sent goes back to the queue. Any other may have been sent."""
    row = c.message(c.state.running) if c.state.running else None
    if row is None or row.workflow != trouble.workflow_id or row.state != MessageState.SENDING:
        return False
    if trouble.retry_at is not None:
        _show(c, trouble)
    elif trouble.code == AcpServerGone.code:
        c.take_back(trouble.message)
        agent_gone(c, trouble.message)
    elif trouble.code == SandboxUnreachable.code:
        c.take_back(trouble.message)
        c.move(SessionStatus.ERROR)
        _show(c, trouble, "resume")
        c.state.unreachable = True
        return True
    else:
        c.end_prompt(MessageState.UNKNOWN, "unknown")
        c.in_doubt(trouble.message)
    return False


def _answer(c: Conversation, trouble: Trouble) -> None:
    """An answer that did not get through can be given again."""
    row = c.turn.find(session_permissions, workflow=trouble.workflow_id)
    if row is None or row.state != PermissionState.ANSWERING:
        return
    if trouble.retry_at is None:
        c.move_permission(row, PermissionState.WAITING, answer=None, person=None, workflow=None)
    _show(c, trouble)
