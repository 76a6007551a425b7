"""The work tree: who has it (R6), one prompt at a time or an operation that writes it; and what was last seen of it."""

from __future__ import annotations

from foundry.actors.task import checkpoints, operations, publishing, sessions
from foundry.actors.task.jobs import Inspect
from foundry.actors.task.tables import diffs, task_sessions_known, tasks, waiting_prompts
from foundry.contracts import addresses
from foundry.contracts.task import PromptEnded, PromptGranted, PromptWaiting, RefreshWork, TaskState, WorkSeen
from foundry.contracts.task_checkpoints import CheckpointReason
from foundry.contracts.task_operations import Kind
from foundry.contracts.task_session import OpenAgent, SessionStatus
from foundry.runtime.actor import handles, receives
from foundry.runtime.turn import Turn


@receives(PromptWaiting)
def prompt_waiting(turn: Turn, message: PromptWaiting) -> None:
    row = turn.one(tasks)
    if row.state == TaskState.ARCHIVED or turn.find(waiting_prompts, message=message.message):
        return
    said_at = message.said_at or turn.now
    turn.insert(waiting_prompts, message=message.message, session=message.session, number=said_at)


@receives(PromptEnded)
def prompt_ended(turn: Turn, message: PromptEnded) -> None:
    """1. The work tree is free. 2. What was done is saved, and published where that is wished."""
    row = turn.one(tasks)
    turn.delete(waiting_prompts, message=message.message)
    if row.running_message == message.message:
        turn.update(tasks, running_message=None)
    if row.state != TaskState.READY:
        return
    checkpoints.want(turn, CheckpointReason.TURN, message.session, message.message)
    if row.auto_publish and message.outcome == "end_turn":
        publishing.publish_automatically(turn)


def grant(turn: Turn) -> None:
    """Every turn ends with this: the oldest waiting prompt whose session is ready gets the work tree, if it is free."""
    row = turn.one(tasks)
    if row.running_message or row.state != TaskState.READY or operations.facts(turn).holder():
        return
    known = {one.session: one for one in sessions.not_closed(turn)}
    ready = {session for session, one in known.items() if one.sandbox_stopped or one.status in sessions.ABLE}
    waiting = sorted(turn.all(waiting_prompts), key=lambda w: (w.number, w.message))
    first = next((w for w in waiting if w.session in ready), None)
    if first is None:
        return
    operations.use_sandbox(turn)
    if known[first.session].sandbox_stopped:
        where = {"session": first.session}
        turn.update(task_sessions_known, where, sandbox_stopped=False, status=SessionStatus.PENDING)
        turn.send(addresses.session(first.session), OpenAgent(wake=True))
        return
    turn.delete(waiting_prompts, message=first.message)
    turn.update(tasks, running_message=first.message, active_session=first.session)
    turn.send(addresses.session(first.session), PromptGranted(message=first.message))


# what it looks like


@handles(RefreshWork)
def refresh_work(turn: Turn, command: RefreshWork) -> None:
    operations.refuse(turn, Kind.GIT_STATUS)
    look(turn)


def look(turn: Turn) -> None:
    row = turn.one(tasks)
    operations.begin(turn, Kind.GIT_STATUS, Inspect(sandbox=row.sandbox, base=row.base))


@handles(WorkSeen)
def work_seen(turn: Turn, command: WorkSeen) -> bool:
    """Answered with whether there is something to publish."""
    work = command.work
    turn.update(tasks, work=work.model_copy(update={"diff": ""}))
    turn.put(diffs, diff=work.diff)
    return work.unpushed > 0
