"""The gaps of a transcript: noted, looked up once in the agent's own history, filled in their place or kept.

A gap that may still be filled has a card; the card is open until Foundry itself has loaded the agent's session for it.
What is put into a gap stands at the gap's own position, in its order (`Entry.part`).
"""

from __future__ import annotations

from collections.abc import Sequence

from foundry.actors.task_session.tables import session_cards
from foundry.actors.task_session.transcript import Transcript
from foundry.contracts.messages import Json
from foundry.contracts.session_stream import FillGaps, Filling, ToldPart
from foundry.contracts.task_session import Entry, EntryKind
from foundry.runtime.turn import AnyRow, Turn

CARD = "gap:"
OVER = ("completed", "failed")  # what an agent says of a tool call that has ended


def note(turn: Turn, transcript: Transcript, missing: int) -> None:
    """Say in its place how many events are missing."""
    entry = transcript.add(EntryKind.GAP, "", {"events": missing})
    turn.insert(session_cards, card=f"{CARD}{entry}", entry=entry, open=True)


def untried(turn: Turn) -> bool:
    """Whether there is a gap for which the agent's session was not loaded yet."""
    return any(row.open for row in _rows(turn))


def try_all(turn: Turn) -> bool:
    """Whether a load can fill anything; from now on it has been tried."""
    rows = _rows(turn)
    for row in rows:
        if row.open:
            turn.update(session_cards, {"card": row.card}, open=False)
    return bool(rows)


def fill(turn: Turn, transcript: Transcript, command: FillGaps) -> None:
    """1. What fits goes into its gap. 2. Tool calls and plans are completed. 3. The other gaps stay, and say so."""
    waiting = {row.entry for row in _rows(turn)}
    for filling in command.fillings:
        if filling.gap in waiting:
            _fill(turn, transcript, filling)
    if command.fillings:
        for part in command.completed:
            _complete(transcript, part)
    for gap in command.missing:
        if gap in waiting:
            _settle(turn, transcript, gap, {"looked": True})


def give_up(turn: Turn, transcript: Transcript) -> None:
    """The agent's history is gone: no gap will be filled any more."""
    for row in _rows(turn):
        _settle(turn, transcript, row.entry, {"looked": True})


def _rows(turn: Turn) -> Sequence[AnyRow]:
    return turn.all(session_cards, session_cards.c.card.startswith(CARD), order_by=session_cards.c.entry)


def _settle(turn: Turn, transcript: Transcript, gap: str, data: Json) -> None:
    turn.delete(session_cards, card=f"{CARD}{gap}")
    known = transcript.stored(gap)
    if known is not None:
        transcript.put(known.model_copy(update={"data": {**known.data, **data}}))


def _fill(turn: Turn, transcript: Transcript, filling: Filling) -> None:
    """The gap's entry becomes the first thing that was said there; the others follow at its position."""
    parts = [part for part in filling.parts if not (card := _card(part)) or transcript.data(card) is None]
    gap = transcript.stored(filling.gap)
    if gap is None or not parts:
        _settle(turn, transcript, filling.gap, {"filled": True})
        return
    turn.delete(session_cards, card=f"{CARD}{filling.gap}")
    for number, part in enumerate(parts):
        entry = Entry(
            id=turn.new_id("ent") if number else gap.id,
            position=gap.position,
            part=number,
            kind=part.kind,
            text=part.text,
            data={**part.data, "filled": True},
            at=gap.at,
        )
        if card := _card(part):
            turn.insert(session_cards, card=card, entry=entry.id, open=False)
        transcript.put(entry, new=number > 0)


def _complete(transcript: Transcript, part: ToldPart) -> None:
    """An entry that the transcript has, and whose end was in the gap."""
    known = transcript.data(card := _card(part))
    if known is None or known.get("status") in OVER or all(known.get(k) == v for k, v in part.data.items()):
        return
    transcript.card(card, part.kind, part.data, text=part.text, done=True)


def _card(part: ToldPart) -> str:
    return f"{part.kind.value}:{part.id}" if part.kind in (EntryKind.TOOL, EntryKind.PLAN) else ""
