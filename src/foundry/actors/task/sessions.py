"""The task's sessions, as far as the task knows them (R5)."""

from __future__ import annotations

from foundry.actors.task import operations
from foundry.actors.task.tables import task_sessions_known, tasks, waiting_prompts
from foundry.actors.task.views import repository_of
from foundry.contracts import addresses
from foundry.contracts.ids import MessageId, SandboxId, SessionId, TaskId
from foundry.contracts.messages import millis
from foundry.contracts.people import Person
from foundry.contracts.task import OpenSession, Phase, SessionSeen, TaskState
from foundry.contracts.task_session import CreateSession, OpenAgent, SessionStatus
from foundry.runtime.actor import handles, receives
from foundry.runtime.turn import Turn

ABLE = (SessionStatus.READY, SessionStatus.IDLE)  # an agent is there and nothing runs


@handles(OpenSession)
def open_session(turn: Turn, command: OpenSession) -> None:
    """1. Create it as pending. 2. Ask for its agent at once if the sandbox is there, else when it is."""
    row = turn.one(tasks)
    if row.state == TaskState.ARCHIVED:
        operations.refuse_state(row)
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
    told: dict[str, object] = {
        "status": seen.status,
        "title": seen.title,
        "failure": seen.failure.model_dump_json() if seen.failure else None,
        "overdue": seen.overdue.model_dump_json() if seen.overdue else None,
        "sandbox_stopped": seen.stopped,
    }
    there = seen.status in ABLE
    turn.update(task_sessions_known, {"session": seen.id}, **told)
    if seen.id != row.active_session or row.state != TaskState.READY or row.phase == Phase.RUNNING:
        return
    if seen.status == SessionStatus.RUNNING:
        _phase(turn, Phase.RUNNING)
    elif there and row.phase == Phase.CREATING_SESSION:
        _phase(turn, Phase.SENDING_PROMPT if turn.all(waiting_prompts) else Phase.RUNNING)  # nothing is left to send


def _phase(turn: Turn, phase: Phase) -> None:
    turn.update(tasks, phase=phase.value, phase_since=millis(turn.now))


def add(turn: Turn, session: SessionId, agent: str, prompt: str | None, person: Person) -> None:
    row = turn.one(tasks)
    number = len(turn.all(task_sessions_known))
    turn.insert(task_sessions_known, session=session, number=number, agent=agent, status=SessionStatus.PENDING.value)
    turn.send(
        addresses.session(session),
        CreateSession(
            parent=turn.address,
            scope=turn.scope,
            id=session,
            task=TaskId(turn.key),
            repository=repository_of(row),
            sandbox=SandboxId(row.sandbox),
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
        turn.send(addresses.session(SessionId(known.session)), OpenAgent(wake=wake, installed=installed))
