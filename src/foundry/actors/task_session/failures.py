"""What a failed attempt of a session's long work means for the session (the runtime issue is recorded anyway)."""

from __future__ import annotations

from foundry.actors.task_session.base import Conversing
from foundry.actors.task_session.conversation import Conversation
from foundry.actors.task_session.tables import session_permissions
from foundry.contracts.ids import SandboxId
from foundry.contracts.issues import Trouble, WorkflowRecovered, WorkflowTrouble
from foundry.contracts.sandbox_instance import SandboxMissing
from foundry.contracts.sandbox_provider import AcpServerGone, SandboxGone, SandboxUnreachable
from foundry.contracts.task_session import MessageState, PermissionState, SessionStatus
from foundry.runtime.actor import handles
from foundry.runtime.turn import Turn


class Troubles(Conversing):
    """The part of a TaskSession that hears of its long work's trouble."""

    @handles(WorkflowTrouble)
    def trouble(self, turn: Turn, command: WorkflowTrouble) -> None:
        """An attempt failed: shown with what to do. The last one ends what it was for."""
        c = self._conversation(turn)
        if take_trouble(c, command.trouble):
            turn.schedule("unreachable", self._watchdog.limit("sandbox unreachable"))
        c.done()

    @handles(WorkflowRecovered)
    def recovered(self, turn: Turn, command: WorkflowRecovered) -> None:
        """What was shown of failed attempts is over; where none was to follow, the trouble stays."""
        c = self._conversation(turn)
        if c.tries_again():
            c.well()
        c.done()


def take_trouble(c: Conversation, trouble: Trouble) -> bool:
    """Show it; the last attempt's ends what it was for. Whether the sandbox is given time to come back."""
    match trouble.workflow:
        case "open_session" | "resume_session" if trouble.workflow_id == c.state.opening:
            _opening(c, trouble)
        case "prompt":
            return _prompt(c, trouble)
        case "answer_permission":
            _answer(c, trouble)
        case "stop" if c.state.stopping:
            _show(c, trouble, "stop")
        case _:
            pass  # the runtime issue says it all
    return False


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
    c.state.opening = None
    c.give_up_server()
    c.move(SessionStatus.ERROR)
    if trouble.code == SandboxGone.code:  # its task makes another one
        c.tell(SandboxMissing(sandbox=SandboxId(c.state.sandbox)))


def _prompt(c: Conversation, trouble: Trouble) -> bool:
    """What surely was not sent goes back to the queue; of anything else nobody knows."""
    row = c.message(c.state.running) if c.state.running else None
    if row is None or row.workflow != trouble.workflow_id or row.state != MessageState.SENDING:
        return False
    if trouble.retry_at is not None:
        _show(c, trouble)
    elif trouble.code == AcpServerGone.code:
        c.take_back(trouble.message)
        c.agent_gone(trouble.message)
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
