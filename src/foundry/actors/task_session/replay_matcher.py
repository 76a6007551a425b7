"""An agent's own history, as the replay of a load tells it, and what of it belongs where the transcript has a gap.

Nothing here is a guess. A turn is found by its prompt's words; what the transcript has of it before, between and after
its gaps has to stand in the history at one place only, letter by letter, and every tool call that one of the two does
not know has to lie within a gap. Whatever does not fit leaves the gap as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from foundry.actors.task_session.acp import UPDATE, array, block_text, mapping, string, tool_fields
from foundry.actors.task_session.jobs import INTRODUCTION, SEPARATOR, GapTurn, Piece
from foundry.contracts.messages import Json
from foundry.contracts.session_stream import FillGaps, Filling, StreamItem, ToldPart
from foundry.contracts.task_session import EntryKind

ROOM = 8_000_000  # characters
TEXTS = {"agent_message_chunk": EntryKind.AGENT, "agent_thought_chunk": EntryKind.THOUGHT}
WORDS = (EntryKind.AGENT, EntryKind.THOUGHT)
NEW_TOOL: Json = {"title": "", "kind": "other", "status": "pending"}


class Unreadable(Exception):
    """The replay is refused, or too long."""


class Holed(Unreadable):
    """Events of the replay were lost on the way here."""


@dataclass(eq=False)
class Part:
    """Words of one kind, a tool call with its last state, or the plan with its last state."""

    kind: EntryKind
    id: str = ""
    chunks: list[str] = field(default_factory=list[str])
    data: Json = field(default_factory=dict[str, object])


@dataclass(eq=False)
class Told:
    """One turn as the agent tells it."""

    prompt: str
    parts: list[Part] = field(default_factory=list[Part])


class History:
    """Reads a replay as it comes, and keeps the turns with these prompts.

    Args:
        ends: the JSON-RPC id whose response ends it.
        of: the agent's session.
        room: characters of the turns that are wanted; more is not read.
    """

    def __init__(self, prompts: Iterable[str], *, ends: str, of: str, room: int = ROOM) -> None:
        self.turns: list[Told] = []
        self._prompts = list(prompts)
        self._ends, self._of = ends, of
        self._last = 0
        self._room = room
        self._asking: list[str] = []  # the prompt that is being told
        self._turn: Told | None = None

    def take(self, item: StreamItem) -> bool:
        """Whether that was its end.

        Raises:
            Holed: something before it is missing.
            Unreadable: the agent refused, or it is too long.
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
        kind = string(update.get("sessionUpdate"))
        if kind == "user_message_chunk":
            self._asking.append(block_text(update.get("content")))
            return
        if kind not in TEXTS and kind not in ("tool_call", "tool_call_update", "plan"):
            return
        if self._asking:
            prompt = "".join(self._asking)
            self._asking.clear()
            self._turn = None
            if any(is_prompt(prompt, one) for one in self._prompts):
                self._turn = Told(prompt)
                self.turns.append(self._turn)
        if self._turn is not None:
            self._part(self._turn.parts, kind, update)

    def _part(self, parts: list[Part], kind: str, update: Json) -> None:
        if kind in TEXTS:
            text = block_text(update.get("content"))
            if text and not (parts and parts[-1].kind is TEXTS[kind]):
                parts.append(Part(TEXTS[kind]))
            if text:
                parts[-1].chunks.append(text)
            size = len(text)
        elif kind == "plan":
            plan = _part_of(parts, EntryKind.PLAN, "")
            plan.data = {"entries": [mapping(entry) for entry in array(update.get("entries"))]}
            size = len(str(plan.data))
        elif call := string(update.get("toolCallId")):
            tool = _part_of(parts, EntryKind.TOOL, call)
            fields = tool_fields(update)
            tool.data = {"id": call, **NEW_TOOL, **tool.data, **fields}
            size = len(str(fields))
        else:
            return
        self._room -= size
        if self._room < 0:
            raise Unreadable("it is too long")


def _part_of(parts: list[Part], kind: EntryKind, id_: str) -> Part:
    found = next((part for part in parts if part.kind is kind and part.id == id_), None)
    if found is None:
        found = Part(kind, id_)
        parts.append(found)
    return found


def is_prompt(told: str, given: str) -> bool:
    """Whether this is what the agent was given: the person's words, or those behind an introduction of ours."""
    told, given = " ".join(told.split()), " ".join(given.split())
    return told == given or (told.startswith(INTRODUCTION) and told.endswith(f" {SEPARATOR} {given}"))


def compare(turns: Sequence[GapTurn], history: Sequence[Told]) -> FillGaps:
    """What fills the gaps of these turns; the gaps for which nothing fits are `missing`."""
    fillings: list[Filling] = []
    completed: list[ToldPart] = []
    missing: list[str] = []
    for turn in turns:
        found = _find(turn, history)
        if found is None:
            missing += [piece.id for piece in turn.pieces if piece.kind is EntryKind.GAP]
        else:
            fillings += found.fillings
            completed += found.completed
    return FillGaps(fillings=fillings, completed=completed, missing=missing)


def _find(turn: GapTurn, history: Sequence[Told]) -> FillGaps | None:
    """Of several prompts in the same words the one in the same place, or else the only one that fits."""
    same = [told for told in history if is_prompt(told.prompt, turn.prompt)]
    if len(same) == turn.of:
        same = [same[turn.number]]
    fitting = [found for told in same if (found := align(turn, told)) is not None]
    return fitting[0] if len(fitting) == 1 else None


# one turn


@dataclass
class _Run:
    """What the transcript has between two gaps."""

    text: str = ""
    marks: str = ""  # of each letter, whether it is a thought
    tools: list[str] = field(default_factory=list[str])


def align(turn: GapTurn, told: Told) -> FillGaps | None:
    """What fills this turn's gaps if it is this turn of the history; None if the two differ anywhere."""
    line = _Line(told)
    runs, gaps = _split(turn.pieces, thoughts="t" in line.marks)
    places = line.places(runs)
    known = {piece.id for piece in turn.pieces if piece.kind is EntryKind.TOOL}
    tools = {part.id: part for part in told.parts if part.kind is EntryKind.TOOL}
    if places is None or not known <= tools.keys():
        return None
    has_plan = any(piece.kind is EntryKind.PLAN for piece in turn.pieces)
    new = {part for part in told.parts if part.kind not in WORDS and part.id not in known}
    completed = [_told(tools[p.id]) for p in turn.pieces if p.kind is EntryKind.TOOL and not p.done]
    if has_plan:
        plans = {part for part in new if part.kind is EntryKind.PLAN}
        completed += [_told(part, id_=turn.message) for part in plans]
        new -= plans
    fillings: list[Filling] = []
    for (start, end), (first, *others) in zip(places, gaps, strict=True):
        fillings.append(Filling(gap=first, parts=line.between(start, end, new, turn.message)))
        fillings += [Filling(gap=gap, parts=[]) for gap in others]
    if any(part.kind is EntryKind.TOOL for part in new):  # outside of every gap: it is known under another id
        return None
    return FillGaps(fillings=fillings, completed=completed, missing=[])


def _split(pieces: Sequence[Piece], *, thoughts: bool) -> tuple[list[_Run], list[list[str]]]:
    """The runs, and between them the gaps; gaps with nothing between them are one.

    Args:
        thoughts: the history tells them, so that they are compared.
    """
    runs, gaps = [_Run()], list[list[str]]()
    for piece in pieces:
        if piece.kind is EntryKind.GAP:
            if gaps and not (runs[-1].text or runs[-1].tools):
                gaps[-1].append(piece.id)
            else:
                gaps.append([piece.id])
                runs.append(_Run())
        elif piece.kind is EntryKind.TOOL:
            runs[-1].tools.append(piece.id)
        elif piece.kind is EntryKind.AGENT or (thoughts and piece.kind is EntryKind.THOUGHT):
            runs[-1].text += piece.text
            runs[-1].marks += _mark(piece.kind) * len(piece.text)
    return runs, gaps


class _Line:
    """A turn's words in one line, and where its parts stand in it."""

    def __init__(self, told: Told) -> None:
        texts: list[str] = []
        marks: list[str] = []
        self._parts: list[tuple[int, str, Part]] = []
        at = 0
        for part in told.parts:
            text = "".join(part.chunks)
            self._parts.append((at, text, part))
            texts.append(text)
            marks.append(_mark(part.kind) * len(text))
            at += len(text)
        self.text, self.marks = "".join(texts), "".join(marks)

    def places(self, runs: Sequence[_Run]) -> list[tuple[int, int]] | None:
        """Where the gaps between these runs begin and end; None if that cannot be told for sure."""
        first, *inner, last = runs
        start, stop = len(first.text), len(self.text) - len(last.text)
        if stop < start or not (self._stands(first, 0) and self._stands(last, stop)):
            return None
        places: list[tuple[int, int]] = []
        for run in inner:
            found = self._find(run, start, stop)
            if len(found) != 1:
                return None
            places.append((start, found[0]))
            start = found[0] + len(run.text)
        return [*places, (start, stop)]

    def _stands(self, run: _Run, at: int) -> bool:
        return self.text.startswith(run.text, at) and self.marks.startswith(run.marks, at)

    def _find(self, run: _Run, start: int, stop: int) -> list[int]:
        if not run.text:
            return [at for at, _, part in self._parts if part.id == run.tools[0] and start <= at <= stop]
        found: list[int] = []
        at = self.text.find(run.text, start, stop)
        while at >= 0 and len(found) < 2:
            if self._stands(run, at):
                found.append(at)
            at = self.text.find(run.text, at + 1, stop)
        return found

    def between(self, start: int, end: int, new: set[Part], message: str) -> list[ToldPart]:
        """What was said there, and the tool calls and the plan of `new`, which are taken out of it."""
        found: list[ToldPart] = []
        for at, text, part in self._parts:
            if part.kind in WORDS:
                if words := text[max(0, start - at) : max(0, end - at)]:
                    found.append(ToldPart(kind=part.kind, text=words))
            elif part in new and start <= at <= end:
                new.discard(part)
                found.append(_told(part, id_=message if part.kind is EntryKind.PLAN else part.id))
        return found


def _told(part: Part, *, id_: str = "") -> ToldPart:
    return ToldPart(kind=part.kind, id=id_ or part.id, text=str(part.data.get("title", "")), data=part.data)


def _mark(kind: EntryKind) -> str:
    return "t" if kind is EntryKind.THOUGHT else "a"
