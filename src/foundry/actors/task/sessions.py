"""The task's sessions, as far as the task knows them (R5)."""

from __future__ import annotations

from foundry.actors.task import operations
from foundry.actors.task.tables import task_sessions_known, tasks, waiting_prompts
from foundry.actors.task.views import repository_of
from foundry.contracts import addresses
from foundry.contracts.ids import MessageId, SessionId, TaskId
from foundry.contracts.people import Person
from foundry.contracts.task import OpenSession, Phase, SessionSeen, TaskState
from foundry.contracts.task_session import CreateSession, OpenAgent, SessionStatus
from foundry.runtime.actor import handles, receives
from foundry.runtime.columns import AnyRow
from foundry.runtime.turn import Turn

ABLE = (SessionStatus.READY, SessionStatus.IDLE)  # an agent is there and nothing runs


@handles(OpenSession)
def open_session(turn: Turn, command: OpenSession) -> None:
    """1. Create it as pending. 2. Ask for its agent at once if the sandbox is there, else when it is."""
    row = turn.one(tasks)
    operations.facts(turn).refuse_archived()
    if turn.find(task_sessions_known, session=command.session) is not None:
        return
    add(turn, command.session, command.agent, command.prompt, command.person)
    if row.state == TaskState.READY:
        operations.use_sandbox(turn)
        open_agents(turn, wake=row.sandbox_stopped)


@receives(SessionSeen)
def session_seen(turn: Turn, message: SessionSeen) -> None:
    """1. Its status. 2. What it means for the phase: its agent is there, or has a prompt."""
    seen, row = message.session, turn.one(tasks)
    turn.update(
        task_sessions_known,
        {"session": seen.id},
        status=seen.status,
        title=seen.title,
        failure=seen.failure,
        overdue=seen.overdue,
        sandbox_stopped=seen.stopped,
    )
    if seen.id != row.active_session or row.state != TaskState.READY or row.phase == Phase.RUNNING:
        return
    if seen.status == SessionStatus.RUNNING:
        turn.update(tasks, phase=Phase.RUNNING, phase_since=turn.now)
    elif seen.status in ABLE and row.phase == Phase.CREATING_SESSION:
        phase = Phase.SENDING_PROMPT if turn.all(waiting_prompts) else Phase.RUNNING  # nothing is left to send
        turn.update(tasks, phase=phase, phase_since=turn.now)


def not_closed(turn: Turn) -> list[AnyRow]:
    return [one for one in turn.all(task_sessions_known) if one.status != SessionStatus.CLOSED]


def add(turn: Turn, session: SessionId, agent: str, prompt: str | None, person: Person) -> None:
    row = turn.one(tasks)
    number = len(turn.all(task_sessions_known))
    turn.insert(task_sessions_known, session=session, number=number, agent=agent, status=SessionStatus.PENDING)
    turn.send(
        addresses.session(session),
        CreateSession(
            parent=turn.address,
            scope=turn.scope,
            id=session,
            task=TaskId(turn.key),
            repository=repository_of(row),
            sandbox=row.sandbox,
            agent=agent,
            prompt=prompt,
            message=MessageId(turn.new_id("msg")) if prompt else None,
            person=person,
        ),
    )


def open_agents(turn: Turn, *, wake: bool = False, installed: bool = False) -> None:
    """Ask for the agent of every session that has not been asked for."""
    for known in turn.all(task_sessions_known, opening=False):
        turn.update(task_sessions_known, {"session": known.session}, opening=True)
        turn.send(addresses.session(known.session), OpenAgent(wake=wake, installed=installed))
