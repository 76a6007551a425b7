"""What the task's turns have in common: refusing, and who gets the work tree next."""

from __future__ import annotations

from foundry.actors.task.tables import task_sessions_known, tasks, waiting_prompts
from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SessionId, WorkflowId
from foundry.contracts.task import PromptGranted, TaskState
from foundry.contracts.task_session import OpenAgent, SessionStatus
from foundry.runtime.turn import AnyRow, Turn


def refuse_archived(row: AnyRow) -> None:
    if row.state == TaskState.ARCHIVED:
        raise WrongState(f"the task is archived ({row.archived})", remedy="Open a new task.")


def refuse_unready(row: AnyRow) -> None:
    if row.state != TaskState.READY:
        raise WrongState("the sandbox is not ready yet", remedy="Wait until provisioning is over, or retry it.")


def refuse_fetching(row: AnyRow) -> None:
    """For what must not meet a work tree that is brought forward."""
    if row.fetch_workflow:
        raise WrongState("GitHub's commits are being got", remedy="Wait until that has ended.")


def stir(turn: Turn) -> None:
    """The sandbox is needed: it does not go to rest, or whoever needs it starts it as the first thing.

    Raises:
        WrongState: it is being stopped at this moment.
    """
    row = turn.one(tasks)
    if row.rest_workflow and row.resting:
        raise WrongState("the sandbox is just being stopped, as nobody used it", remedy="Try again in a moment.")
    if row.rest_workflow:
        turn.cancel(WorkflowId(row.rest_workflow))
    turn.update(tasks, rest_workflow=None, resting=False)


def grant(turn: Turn) -> None:
    """The oldest waiting prompt whose session is ready gets the work tree, if nobody has it."""
    row = turn.one(tasks)
    if row.running_message or row.restore_workflow or row.rename_workflow or row.state != TaskState.READY:
        return
    if row.fetch_writes:  # its end grants
        return
    if row.rest_workflow and row.resting:  # its end grants
        return
    able, known = (SessionStatus.READY, SessionStatus.IDLE), turn.all(task_sessions_known)
    resting = {one.session for one in known if one.resting and one.status != SessionStatus.CLOSED}
    ready = {one.session for one in known if one.status in able} | resting
    waiting = sorted(turn.all(waiting_prompts), key=lambda w: (w.number, w.message))
    first = next((w for w in waiting if w.session in ready), None)
    if first is None:
        return
    stir(turn)
    if first.session in resting:
        turn.update(task_sessions_known, {"session": first.session}, resting=False, status=SessionStatus.PENDING.value)
        turn.send(addresses.session(SessionId(first.session)), OpenAgent(wake=True))
        return
    turn.delete(waiting_prompts, message=first.message)
    turn.update(tasks, running_message=first.message, active_session=first.session)
    turn.send(addresses.session(SessionId(first.session)), PromptGranted(message=first.message))
