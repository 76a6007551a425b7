"""What a failed attempt of a session's workflow means for the session. The runtime records the runtime issue."""

from __future__ import annotations

from foundry.actors.task_session.config import limit
from foundry.actors.task_session.connection import agent_gone, give_up_server
from foundry.actors.task_session.conversation import Conversation, conversation
from foundry.actors.task_session.messages import send_held
from foundry.actors.task_session.tables import session_permissions
from foundry.contracts.ids import SandboxId
from foundry.contracts.issues import AttemptFailed, Failure, WorkflowEnded, WorkflowRecovered
from foundry.contracts.sandbox_instance import SandboxMissing
from foundry.contracts.sandbox_provider import AcpServerGone, SandboxGone, SandboxUnreachable
from foundry.contracts.task_session import MessageState, PermissionState, SessionStatus
from foundry.runtime.actor import handles, receives
from foundry.runtime.turn import Turn


@handles(AttemptFailed)
def attempt_failed(turn: Turn, command: AttemptFailed) -> None:
    """Show what to do, and when the next attempt is."""
    _take(turn, command.failure)


@receives(WorkflowEnded)
def workflow_ended(turn: Turn, message: WorkflowEnded) -> None:
    """1. A failure ends what the workflow was for. 2. Send a message that waited until the agent was told to stop."""
    c = conversation(turn)
    c.attentive = True
    if message.failure is not None:
        _take(turn, message.failure)
    send_held(c)


def _take(turn: Turn, failure: Failure) -> None:
    if take_failure(conversation(turn), failure):
        turn.schedule("unreachable", limit(turn, "sandbox unreachable"))


@handles(WorkflowRecovered)
def attempt_succeeded(turn: Turn, command: WorkflowRecovered) -> None:
    """Stop showing failed attempts. Failure that is not tried again automatically stays."""
    c = conversation(turn)
    if c.tries_again():
        c.well()


def take_failure(c: Conversation, failure: Failure) -> bool:
    """Show it; that of the last attempt ends what the workflow was for. True: give the sandbox time to come back."""
    match failure.workflow:
        case "open_session" | "resume_session" if _was_opening(c, failure):
            _opening(c, failure)
        case "prompt":
            return _prompt(c, failure)
        case "answer_permission":
            _answer(c, failure)
        case "stop" if c.state.stopping:
            _show(c, failure, "stop")
        case _:
            pass  # the runtime issue is enough
    return False


def _was_opening(c: Conversation, failure: Failure) -> bool:
    """True if the session waits for this workflow, or for none because it has just ended."""
    waits = c.status is not SessionStatus.CLOSED and not c.state.connected
    return waits and c.opening in (None, failure.workflow_id)


def _show(c: Conversation, failure: Failure, *actions: str) -> None:
    c.failure(
        failure.code,
        failure.message,
        failure.remedy,
        *actions,
        attempt=failure.attempt,
        retry_at=failure.retry_at,
    )


def _opening(c: Conversation, failure: Failure) -> None:
    if failure.retry_at is not None:
        _show(c, failure)
        return
    _show(c, failure, "resume")
    give_up_server(c)
    c.move(SessionStatus.ERROR)
    if failure.code == SandboxGone.code:  # its task creates another one
        c.tell(SandboxMissing(sandbox=SandboxId(c.state.sandbox)))


def _prompt(c: Conversation, failure: Failure) -> bool:
    """A message that was certainly not sent goes back to the queue. Any other may have been sent."""
    row = c.message(c.state.running) if c.state.running else None
    if row is None or row.workflow != failure.workflow_id or row.state != MessageState.SENDING:
        return False
    if failure.retry_at is not None:
        _show(c, failure)
    elif failure.code == AcpServerGone.code:
        c.take_back(failure.message)
        agent_gone(c, failure.message)
    elif failure.code == SandboxUnreachable.code:
        c.take_back(failure.message)
        c.move(SessionStatus.ERROR)
        _show(c, failure, "resume")
        c.state.unreachable = True
        return True
    else:
        c.end_prompt(MessageState.UNKNOWN, "unknown")
        c.in_doubt(failure.message)
    return False


def _answer(c: Conversation, failure: Failure) -> None:
    """An answer that did not get through can be given again."""
    row = c.turn.find(session_permissions, workflow=failure.workflow_id)
    if row is None or row.state != PermissionState.ANSWERING:
        return
    if failure.retry_at is None:
        c.move_permission(row, PermissionState.WAITING, answer=None, person=None, workflow=None)
    _show(c, failure)
