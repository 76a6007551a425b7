"""Gaps of a transcript: shown in their place, looked up once in the agent's own history, then filled or left.

A gap that may still be filled has a card. The card is open until Foundry has loaded the agent's session for the gap.
What fills a gap has the gap's position, ordered by `Entry.part`. `replay.py` finds it in the agent's history.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from foundry.actors.task_session import views
from foundry.actors.task_session.jobs import GapTurn, Piece
from foundry.actors.task_session.tables import session_cards
from foundry.actors.task_session.transcript import Transcript
from foundry.contracts.ids import SessionId
from foundry.contracts.messages import Json
from foundry.contracts.session_stream import FillGaps, Filling, ToldPart
from foundry.contracts.task_session import Entry, EntryKind
from foundry.runtime.columns import AnyRow
from foundry.runtime.reader import Reader
from foundry.runtime.turn import Turn

CARD = "gap:"
OVER = ("completed", "failed")  # what an agent says of a tool call that has ended
PIECES = (EntryKind.AGENT, EntryKind.THOUGHT, EntryKind.TOOL, EntryKind.PLAN, EntryKind.GAP)


def note(turn: Turn, transcript: Transcript, missing: int) -> None:
    """Show a gap in its place, with the number of missing events."""
    entry = transcript.add(EntryKind.GAP, "", {"events": missing})
    turn.insert(session_cards, card=f"{CARD}{entry}", entry=entry, open=True)


def untried(turn: Turn) -> bool:
    """True if there is a gap for which the agent's session was not loaded yet."""
    return any(row.open for row in _rows(turn))


def try_all(turn: Turn) -> bool:
    """Mark every gap as tried. True if there is one that a load may fill."""
    rows = _rows(turn)
    for row in rows:
        if row.open:
            turn.update(session_cards, {"card": row.card}, open=False)
    return bool(rows)


def turns_with_gaps(reader: Reader, session: SessionId) -> list[GapTurn]:
    """The turns with gaps that the agent's history may fill, and what the transcript has of them."""
    cards = select(session_cards.c.entry).where(
        session_cards.c.session == session, session_cards.c.card.startswith(CARD)
    )
    wanted = {row.entry for row in reader.all(cards)}
    if not wanted:
        return []
    turns: list[list[Entry]] = []
    for entry in views.transcript(reader, session):
        if entry.kind is EntryKind.USER:
            turns.append([])
        if turns:
            turns[-1].append(entry)
    prompts = [" ".join(turn[0].text.split()) for turn in turns]
    return [
        GapTurn(
            prompt=prompts[at],
            message=str(turn[0].data.get("message", "")),
            number=prompts[:at].count(prompts[at]),
            of=prompts.count(prompts[at]),
            pieces=[_piece(entry) for entry in turn if entry.kind in PIECES],
        )
        for at, turn in enumerate(turns)
        if wanted & {entry.id for entry in turn}
    ]


def _piece(entry: Entry) -> Piece:
    match entry.kind:
        case EntryKind.TOOL:
            over = entry.data.get("status") in OVER
            return Piece(kind=entry.kind, id=str(entry.data.get("id", "")), done=over)
        case EntryKind.GAP:
            return Piece(kind=entry.kind, id=entry.id)
        case _:
            return Piece(kind=entry.kind, text=entry.text)


def fill(turn: Turn, transcript: Transcript, command: FillGaps) -> None:
    """1. Put what fits into its gap. 2. Complete tool calls and plans. 3. Say of the other gaps that they stay."""
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
    """The agent's history is lost: say of every gap that it stays."""
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
    """The gap's entry becomes the first part; the other parts follow at its position."""
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
    """Complete an entry of the transcript whose end was in the gap."""
    known = transcript.data(card := _card(part))
    if known is None or known.get("status") in OVER or all(known.get(k) == v for k, v in part.data.items()):
        return
    transcript.card(card, part.kind, part.data, text=part.text, done=True)


def _card(part: ToldPart) -> str:
    return f"{part.kind.value}:{part.id}" if part.kind in (EntryKind.TOOL, EntryKind.PLAN) else ""
