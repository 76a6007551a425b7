"""What the edge reads of a session: itself, its transcript, and what one person keeps in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import select

from foundry.actors.task_session.row import State
from foundry.actors.task_session.tables import (
    session_agents,
    session_messages,
    session_people,
    session_permissions,
    sessions,
)
from foundry.contracts import addresses
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import MessageId, OrganizationId, RepositoryId, SessionId, TaskId, UserId
from foundry.contracts.messages import utc
from foundry.contracts.overdue import Overdue
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.session_stream import AgentSession
from foundry.contracts.task_session import (
    Entry,
    EntryChanged,
    EntryKind,
    MessageState,
    PermissionState,
    PermissionView,
    PersonalView,
    QueuedMessage,
    SessionFailure,
    SessionStatus,
    SessionView,
)
from foundry.runtime.columns import AnyRow, from_row
from foundry.runtime.reader import Reader

SHOWN = (MessageState.QUEUED, MessageState.SENDING, MessageState.UNKNOWN, MessageState.FAILED)
ASKED = (PermissionState.WAITING, PermissionState.ANSWERING)
CONTEXT_ENTRIES = 50
CONTEXT_CHARACTERS = 12_000


def view(state: State, agent: AnyRow | None, messages: Iterable[AnyRow], permissions: Iterable[AnyRow]) -> SessionView:
    """The session as its page shows it, from its rows.

    Args:
        agent: what the agent says of itself; None: nothing yet.
    """
    return SessionView(
        id=SessionId(state.session),
        task=TaskId(state.task),
        repository=RepositoryRef.of(RepositoryId(state.repository_id), OrganizationId("")),
        title=state.title,
        agent=state.agent,
        status=SessionStatus(state.status),
        status_since=utc(state.status_since),
        failure=SessionFailure.model_validate_json(state.failure) if state.failure else None,
        overdue=Overdue.model_validate_json(state.overdue) if state.overdue else None,
        messages=[_message(row) for row in messages],
        permissions=[_permission(row) for row in permissions],
        running=MessageId(state.running) if state.running else None,
        stopping=state.stopping,
        sandbox_stopped=state.sandbox_stopped,
        mode=agent.mode if agent else "",
        commands=json.loads(agent.commands) if agent else [],
        usage=json.loads(agent.usage) if agent else {},
        created_at=utc(state.created_at),
    )


def _message(row: AnyRow) -> QueuedMessage:
    return from_row(QueuedMessage, row, id=row.message)


def _permission(row: AnyRow) -> PermissionView:
    who = Person.model_validate_json(row.person) if row.person else None
    return from_row(PermissionView, row, id=row.permission, answered_by=who)


def session_view(reader: Reader, session: SessionId) -> SessionView:
    """The session without its transcript.

    Raises:
        NotFound: there is none with this id.
    """
    rows = reader.rows(addresses.session(session))
    row = rows.find(sessions)
    if row is None:
        raise NotFound(f"no session with id {session}")
    queued = session_messages.c.state.in_([s.value for s in SHOWN])
    asked = session_permissions.c.state.in_([s.value for s in ASKED])
    return view(
        State.of(row),
        rows.find(session_agents),
        rows.all(session_messages, queued, order_by=session_messages.c.number),
        rows.all(session_permissions, asked, order_by=session_permissions.c.permission),
    )


def _folded(rows: Sequence[AnyRow]) -> list[Entry]:
    """The entries of these stored events, in order. Deltas are joined once, so that a long text stays linear."""
    entries: dict[str, Entry] = {}
    added: dict[str, list[str]] = {}
    for row in rows:
        if row.word == "EntryChanged":
            entries[row.entity] = EntryChanged.model_validate_json(row.body).entry
        elif row.word == "MessageDelta":
            delta = json.loads(row.body)  # not a model: there may be tens of thousands
            if row.entity not in entries:
                entries[row.entity] = Entry(
                    id=row.entity, position=delta["position"], kind=delta["kind"], complete=False, at=delta["at"]
                )
            added.setdefault(row.entity, []).append(delta["text"])
    for entity, texts in added.items():
        entries[entity] = entries[entity].model_copy(update={"text": "".join(texts)})
    return sorted(entries.values(), key=lambda entry: (entry.position, entry.part))


def transcript(reader: Reader, session: SessionId, after_version: int = 0) -> list[Entry]:
    """The entries that were changed after this version, each in its whole current state, in order."""
    address = addresses.session(session)
    rows = reader.events(address, after=after_version)
    begun = {
        row.entity for row in rows if after_version and row.word == "MessageDelta" and json.loads(row.body)["offset"]
    }
    earlier = [row for entity in sorted(begun) for row in reader.events(address, entity=entity)]
    return _folded([*earlier, *(row for row in rows if row.entity not in begun)])


def session_snapshot(reader: Reader, session: SessionId) -> tuple[int, SessionView, list[Entry]]:
    """The topic's version, the session and its whole transcript, from one snapshot."""
    found = session_view(reader, session)
    return reader.version(addresses.session(session)), found, transcript(reader, session)


def personal_view(reader: Reader, session: SessionId, person: UserId) -> PersonalView:
    """This person's draft and what they have not read yet (R7)."""
    row = reader.rows(addresses.session(session)).find(session_people, person=person)
    read = row.read_position if row else 0
    news = {
        event.entity
        for event in reader.events(addresses.session(session), after=read)
        if event.word in ("EntryChanged", "MessageDelta") and _is_news(event, read)
    }
    return PersonalView(session=session, draft=row.draft if row else "", read_position=read, unread=len(news))


def _is_news(event: AnyRow, read: int) -> bool:
    body = json.loads(event.body)
    entry = body.get("entry", body)
    return entry["kind"] in (EntryKind.AGENT, EntryKind.PERMISSION) and entry["position"] > read


def recent(reader: Reader, session: SessionId, without: str) -> str:
    """What was said, for an agent without its session: the last entries but this one, oldest first, cut."""
    said = [line for entry in transcript(reader, session) if entry.id != without and (line := _line(entry))]
    lines: list[str] = []
    room = CONTEXT_CHARACTERS
    for line in reversed(said[-CONTEXT_ENTRIES:]):
        if len(line) > room:
            lines.append("…" + line[-room:] if room > 200 else "…")
            break
        lines.append(line)
        room -= len(line) + 1
    return "\n".join(reversed(lines))


def _line(entry: Entry) -> str:
    match entry.kind:
        case EntryKind.USER:
            return f"[person] {entry.text}"
        case EntryKind.AGENT:
            return f"[you] {entry.text}"
        case EntryKind.TOOL:
            return f"[tool] {entry.data.get('title', '')} ({entry.data.get('status', '')})"
        case _:
            return ""


def known_servers(reader: Reader) -> set[str]:
    """The ACP server ids that a session uses or has chosen, or whose stream it has not read to the end."""
    query = select(sessions.c.server, sessions.c.unread, sessions.c.agent_session)
    known: set[str] = set()
    for row in reader.all(query.where(sessions.c.status != SessionStatus.CLOSED.value)):
        known |= {one for one in (row.server, row.unread) if one}
        if row.agent_session:
            known.add(AgentSession.model_validate_json(row.agent_session).server_id)
    return known
