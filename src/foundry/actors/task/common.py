"""What the task's turns have in common: refusing, and who gets the work tree next."""

from __future__ import annotations

from foundry.actors.task.tables import task_sessions_known, tasks, waiting_prompts
from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SessionId
from foundry.contracts.sessions import SessionStatus
from foundry.contracts.tasks import PromptGranted, TaskState
from foundry.runtime.turn import AnyRow, Turn


def refuse_archived(row: AnyRow) -> None:
    if row.state == TaskState.ARCHIVED:
        raise WrongState(f"the task is archived ({row.archived})", remedy="Open a new task.")


def refuse_unready(row: AnyRow) -> None:
    if row.state != TaskState.READY:
        raise WrongState("the sandbox is not ready yet", remedy="Wait until provisioning is over, or retry it.")


def grant(turn: Turn) -> None:
    """The oldest waiting prompt whose session is ready gets the work tree, if nobody has it."""
    row = turn.one(tasks)
    if row.running_message or row.restore_workflow or row.rename_workflow or row.state != TaskState.READY:
        return
    able = (SessionStatus.READY, SessionStatus.IDLE)
    ready = {known.session for known in turn.all(task_sessions_known) if known.status in able}
    waiting = sorted(turn.all(waiting_prompts), key=lambda w: (w.number, w.message))
    first = next((w for w in waiting if w.session in ready), None)
    if first is None:
        return
    turn.delete(waiting_prompts, message=first.message)
    turn.update(tasks, running_message=first.message, active_session=first.session)
    turn.send(addresses.session(SessionId(first.session)), PromptGranted(message=first.message))
