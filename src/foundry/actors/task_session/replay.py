"""Filling gaps of the transcript from the agent's own history.

The case is rare: events of the stream were lost, and the recorder in the sandbox does not have them either. An agent
that supports `session/load` replays its whole session when it loads it. A step of `resume_session`, `read_history`,
reads that replay and returns what belongs in the gaps. `gaps.py` writes it to the transcript (docs/decisions/0012).

Nothing is guessed, and any difference leaves the gap as it is:
1. A turn is found by its prompt's text.
2. Its text before, between and after the gaps must be in the replay letter by letter. Text between two gaps must be
   there in one place only.
3. Every tool call of the transcript must be in the replay under the same id. Every other one must lie within a gap.
A replay is used only when it is complete. It is read by its event ids, so after a crash it is read once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import accumulate, groupby
from operator import itemgetter
from typing import cast

import structlog

from foundry.actors.task_session.acp import CONTENT, UPDATE, block_text, card_data, mapping, string
from foundry.actors.task_session.jobs import GapTurn, Piece, is_prompt
from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.messages import Json
from foundry.contracts.session_stream import AgentSession, FillGaps, Filling, StreamItem, ToldPart
from foundry.contracts.task_session import EntryKind

LOOKS = 4  # at the recording, which may be behind the stream
AGAIN = 0.5  # seconds between them
LOOK_LIMIT = 20.0  # seconds for one; 64 MB take about 6
READ_DEADLINE = 120.0  # seconds for the step; more than all looks together
ROOM = 8_000_000  # characters of the turns with gaps
WORDS = (EntryKind.AGENT, EntryKind.THOUGHT)
CARDS = (EntryKind.TOOL, EntryKind.PLAN)
PLAN = ""  # its id; a tool call has its own
Said = tuple[EntryKind, str, str]  # kind, the id of a tool call, text

log = structlog.get_logger("foundry.session")


class Unreadable(Exception):
    """The agent refused to load its session, or the replay is too long or has no end."""


class Holed(Unreadable):
    """Events of the replay were lost on the way."""


async def read_history(doors: Doors, sandbox: SandboxId, opened: AgentSession, turns: list[GapTurn]) -> FillGaps | None:
    """What the agent's history has for these turns. None: some of it was lost, so the agent should replay it again.

    The stream is read first. It keeps little, so the recording is next. A history that cannot be read fills nothing.
    """
    if not turns:
        return FillGaps()
    agents, server = doors.agents, opened.server_id
    reason: Exception | None = None
    for look in range(LOOKS + 1):
        source = agents.recorded(sandbox, server, 0) if look else agents.stream(sandbox, server, 0)
        replay = Replay([turn.prompt for turn in turns], ends=opened.replay_ends, of=opened.agent_session_id)
        try:
            async with asyncio.timeout(LOOK_LIMIT), aclosing(cast("AsyncGenerator[StreamItem]", source)) as items:
                async for item in items:
                    if replay.take(item):
                        return compare(turns, replay.turns)
            reason = Unreadable("its end is not there")
        except (Unreadable, FoundryError, TimeoutError) as error:
            reason = error
        if look:
            await asyncio.sleep(AGAIN)
    log.warning("an agent's history was not read", sandbox=sandbox, server=server, reason=str(reason))
    return None if isinstance(reason, Holed) else FillGaps()


@dataclass(eq=False)
class Told:
    """One turn as the agent replays it."""

    prompt: str
    said: list[Said] = field(default_factory=list[Said])  # text in chunks; each tool call and the plan once
    cards: dict[str, Json] = field(default_factory=dict[str, Json])  # the last state of each tool call and of the plan

    def add(self, kind: EntryKind, update: Json) -> int:
        """Add what an update says; return by how many characters the turn has grown."""
        if kind in WORDS:
            if text := block_text(update.get("content")):
                self.said.append((kind, "", text))
            return len(text)
        id_ = PLAN if kind is EntryKind.PLAN else string(update.get("toolCallId"))
        if kind is EntryKind.TOOL and not id_:
            return 0
        if id_ not in self.cards:
            self.said.append((kind, id_, ""))
        known = self.cards.get(id_, {})
        self.cards[id_] = card_data(kind, update, known)
        return len(str(self.cards[id_])) - len(str(known))

    def pieces(self) -> list[Piece]:
        groups = groupby(self.said, key=itemgetter(0, 1))
        return [Piece(kind=kind, id=id_, text="".join(text for _, _, text in group)) for (kind, id_), group in groups]

    def part(self, piece: Piece, message: str) -> ToldPart:
        """The piece with its data. The plan's id is that of its message."""
        if piece.kind in WORDS:
            return ToldPart(kind=piece.kind, text=piece.text)
        data = self.cards[piece.id]
        return ToldPart(kind=piece.kind, id=piece.id or message, text=str(data.get("title", "")), data=data)


class Replay:
    """Takes the events of a replay in order, and keeps the turns with these prompts.

    Args:
        ends: the JSON-RPC id of the load, whose response ends the replay.
        of: the agent's session.
        room: characters of the turns with gaps; a longer replay is not used.
    """

    def __init__(self, prompts: Iterable[str], *, ends: str, of: str, room: int = ROOM) -> None:
        self.turns: list[Told] = []
        self._prompts, self._ends, self._of, self._room = list(prompts), ends, of, room
        self._last = self._size = 0  # the last event id; characters kept
        self._prompt: list[str] = []  # chunks of the prompt that is being replayed
        self._turn: Told | None = None

    def take(self, item: StreamItem) -> bool:
        """Return True at the replay's end.

        Raises:
            Holed: something before this event is missing.
            Unreadable: the agent refused, or the replay is too long.
        """
        if item.event_id <= self._last:
            return False
        if item.event_id > self._last + 1:
            raise Holed(f"the events {self._last + 1} to {item.event_id - 1} are missing")
        self._last = item.event_id
        message = item.message
        if "method" not in message and message.get("id") == self._ends:
            if "result" not in message:
                raise Unreadable("the agent did not load its session")
            return True
        params = mapping(message.get("params"))
        if message.get("method") == UPDATE and params.get("sessionId") in (None, self._of):
            self._update(mapping(params.get("update")))
        return False

    def _update(self, update: Json) -> None:
        name = string(update.get("sessionUpdate"))
        if name == "user_message_chunk":
            self._prompt.append(block_text(update.get("content")))
        elif kind := CONTENT.get(name):
            if self._prompt:
                told = Told("".join(self._prompt))
                self._prompt.clear()
                self._turn = told if any(is_prompt(told.prompt, one) for one in self._prompts) else None
                self.turns += [told] if self._turn else []
            if self._turn:
                self._size += self._turn.add(kind, update)
            if self._size > self._room:
                raise Unreadable("it is too long")


def compare(turns: Sequence[GapTurn], history: Sequence[Told]) -> FillGaps:
    """What fills the gaps of these turns. Gaps for which nothing fits are `missing`."""
    fillings, completed, missing = list[Filling](), list[ToldPart](), list[str]()
    for turn in turns:
        same = [told for told in history if is_prompt(told.prompt, turn.prompt)]
        if len(same) == turn.of:  # the one in the same place; otherwise the only one that fits
            same = [same[turn.number]]
        fitting = [found for told in same if (found := align(turn, told))]
        if len(fitting) == 1:
            fillings += fitting[0].fillings
            completed += fitting[0].completed
        else:
            missing += [piece.id for piece in turn.pieces if piece.kind is EntryKind.GAP]
    return FillGaps(fillings=fillings, completed=completed, missing=missing)


def align(turn: GapTurn, told: Told) -> FillGaps | None:
    """What fills this turn's gaps if it is this turn of the history; None if the two differ anywhere."""
    line = _Line(told.pieces())
    compared = {EntryKind.GAP, EntryKind.TOOL, *(WORDS if "t" in line.marks else WORDS[:1])}  # thoughts, if replayed
    edge = Piece(kind=EntryKind.AGENT)
    pieces = [edge, *(piece for piece in turn.pieces if piece.kind in compared), edge]
    groups = [list(group) for _, group in groupby(pieces, key=lambda piece: piece.kind is EntryKind.GAP)]
    places = line.places([_Line(run) for run in groups[::2]])
    known = {piece.id for piece in turn.pieces if piece.kind in CARDS}
    if places is None or not known - {PLAN} <= told.cards.keys():
        return None
    fillings: list[Filling] = []
    for (start, end), (first, *others) in zip(places, groups[1::2], strict=True):
        parts = [told.part(piece, turn.message) for piece in line.between(start, end, known)]
        fillings += [Filling(gap=first.id, parts=parts), *(Filling(gap=gap.id, parts=[]) for gap in others)]
    if not told.cards.keys() <= known | {PLAN}:  # outside of every gap: the transcript has it under another id
        return None
    unsure = [piece for piece in turn.pieces if piece.kind is EntryKind.PLAN or not piece.done]
    completed = [told.part(piece, turn.message) for piece in unsure if piece.id in told.cards]
    return FillGaps(fillings=fillings, completed=completed)


class _Line:
    """The text of a replayed turn, or of the transcript between two gaps, and the places of its tool calls."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.pieces = pieces
        self.text = "".join(piece.text for piece in pieces)
        self.marks = "".join(piece.kind.value[0] * len(piece.text) for piece in pieces)  # "t": the letter is a thought
        ends = accumulate(len(piece.text) for piece in pieces)
        self.tools = {piece.id: end for piece, end in zip(pieces, ends, strict=True) if piece.id}

    def places(self, runs: Sequence[_Line]) -> list[tuple[int, int]] | None:
        """Where the gaps between these runs begin and end; None if that is not certain."""
        first, *inner, last = runs
        start, stop = len(first.text), len(self.text) - len(last.text)
        if stop < start or not (self._has(first, 0) and self._has(last, stop)):
            return None
        places: list[tuple[int, int]] = []
        for run in inner:
            found = self._find(run, start, stop)
            if len(found) != 1 or not start <= found[0] <= stop:
                return None
            places.append((start, found[0]))
            start = found[0] + len(run.text)
        return [*places, (start, stop)]

    def _has(self, run: _Line, at: int) -> bool:
        return self.text.startswith(run.text, at) and self.marks.startswith(run.marks, at)

    def _find(self, run: _Line, start: int, stop: int) -> list[int]:
        """The places of this text, or of its first tool call if it has no text; at most two."""
        if not run.text:
            return [self.tools.get(next(iter(run.tools), ""), -1)]
        found, at = list[int](), start - 1
        while len(found) < 2 and (at := self.text.find(run.text, at + 1, stop)) >= 0:
            found += [at] if self._has(run, at) else []
        return found

    def between(self, start: int, end: int, known: set[str]) -> Iterator[Piece]:
        """What was said between two places. Tool calls and a plan that are not `known` are added to it."""
        at = 0
        for piece in self.pieces:
            if piece.kind in CARDS and piece.id not in known and start <= at <= end:
                known.add(piece.id)
                yield piece
            elif text := piece.text[max(0, start - at) : max(0, end - at)]:
                yield Piece(kind=piece.kind, text=text)
            at += len(piece.text)
