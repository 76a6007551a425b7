"""Who has the work tree (R6): one prompt at a time, or an operation that writes it."""

from __future__ import annotations

from foundry.actors.task import checkpoints, operations, publishing
from foundry.actors.task.jobs import SaveWish
from foundry.actors.task.tables import task_sessions_known, tasks, waiting_prompts
from foundry.contracts import addresses
from foundry.contracts.ids import MessageId, SessionId
from foundry.contracts.messages import millis
from foundry.contracts.task import PromptEnded, PromptGranted, PromptWaiting, TaskState
from foundry.contracts.task_checkpoints import CheckpointReason
from foundry.contracts.task_session import OpenAgent, SessionStatus
from foundry.runtime.actor import receives
from foundry.runtime.turn import Turn

ABLE = (SessionStatus.READY, SessionStatus.IDLE)


@receives(PromptWaiting)
def prompt_waiting(turn: Turn, message: PromptWaiting) -> None:
    row = turn.one(tasks)
    if row.state == TaskState.ARCHIVED or turn.find(waiting_prompts, message=message.message):
        return
    number = millis(message.said_at or turn.now)
    turn.insert(waiting_prompts, message=message.message, session=message.session, number=number)


@receives(PromptEnded)
def prompt_ended(turn: Turn, message: PromptEnded) -> None:
    """1. The work tree is free. 2. What was done is saved, and published where that is wished."""
    row = turn.one(tasks)
    turn.delete(waiting_prompts, message=message.message)
    if row.running_message == message.message:
        turn.update(tasks, running_message=None)
    if row.state != TaskState.READY:
        return
    wish = SaveWish(reason=CheckpointReason.TURN, session=message.session, message=MessageId(message.message))
    checkpoints.want(turn, wish)
    if row.auto_publish and message.outcome == "end_turn":
        publishing.publish_automatically(turn)


def grant(turn: Turn) -> None:
    """Every turn ends with this: the oldest waiting prompt whose session is ready gets the work tree, if it is free."""
    row = turn.one(tasks)
    if row.running_message or row.state != TaskState.READY or operations.holder(turn):
        return
    waiting = sorted(turn.all(waiting_prompts), key=lambda w: (w.number, w.message))
    if not waiting:
        return
    known = turn.all(task_sessions_known)
    stopped = {one.session for one in known if one.sandbox_stopped and one.status != SessionStatus.CLOSED}
    ready = {one.session for one in known if one.status in ABLE} | stopped
    first = next((w for w in waiting if w.session in ready), None)
    if first is None:
        return
    operations.use_sandbox(turn)
    if first.session in stopped:
        values = {"sandbox_stopped": False, "status": SessionStatus.PENDING.value}
        turn.update(task_sessions_known, {"session": first.session}, **values)
        turn.send(addresses.session(SessionId(first.session)), OpenAgent(wake=True))
        return
    turn.delete(waiting_prompts, message=first.message)
    turn.update(tasks, running_message=first.message, active_session=first.session)
    turn.send(addresses.session(SessionId(first.session)), PromptGranted(message=first.message))
