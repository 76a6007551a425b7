"""What one person keeps in a session: a draft, and how far they have read (R7)."""

from __future__ import annotations

from foundry.actors.task_session.conversation import Conversation, conversation
from foundry.actors.task_session.tables import session_people
from foundry.contracts.ids import UserId
from foundry.contracts.task_session import MarkRead, PersonalChanged, SaveDraft
from foundry.runtime.actor import handles
from foundry.runtime.turn import Turn


def keep(c: Conversation, person: UserId, **values: str | int) -> None:
    """Change it, and publish the change to this person only. If nothing changes, do nothing."""
    turn = c.turn
    row = turn.find(session_people, person=person)
    now: dict[str, str | int] = {
        "draft": row.draft if row else "",
        "read_position": row.read_position if row else 0,
    }
    wanted = {**now, **values}
    if wanted == now:
        return
    if row is None:
        turn.insert(session_people, person=person, **wanted)
    else:
        turn.update(session_people, {"person": person}, **values)
    entity = f"{turn.key}:{person}"
    turn.compact(entity)
    turn.publish(
        PersonalChanged(
            entity=entity,
            repository=c.state.repository_id,
            person=person,
            draft=str(wanted["draft"]),
            read_position=int(wanted["read_position"]),
        )
    )


@handles(SaveDraft)
def save_draft(turn: Turn, command: SaveDraft) -> None:
    keep(conversation(turn), command.person, draft=command.text)


@handles(MarkRead)
def mark_read(turn: Turn, command: MarkRead) -> None:
    position = max(0, min(command.position, turn.version))
    keep(conversation(turn), command.person, read_position=position)
