"""Writes the transcript: its rows are the events of the session's topic.

Guarantee: folding the stored events gives the transcript; a streamed text is deltas while it grows and one row
under the same id once it has ended, whatever its number of chunks. A turn publishes each entry it touched once: all
chunks of a batch are one delta. So the work for a text is proportional to its length.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from foundry.actors.task_session.row import State
from foundry.actors.task_session.tables import session_cards, session_open_entries
from foundry.contracts.messages import Json, millis, utc
from foundry.contracts.task_session import Entry, EntryChanged, EntryKind, MessageDelta
from foundry.runtime.turn import Turn


@dataclass(eq=False)
class _Text:
    """The streamed entry, with what this turn adds to it."""

    id: str
    kind: EntryKind
    key: str
    at: int  # Unix milliseconds
    position: int = 0  # 0: not published yet
    length: int = 0  # code points published
    added: list[str] = field(default_factory=list[str])
    ended: bool = False

    def row(self) -> dict[str, object]:
        """As it is stored while it is not complete."""
        names = {"kind": self.kind.value, "key": self.key, "position": self.position, "length": self.length}
        return {"entry": self.id, "at": self.at, **names}


@dataclass(eq=False)
class _Whole:
    """An entry that is published as a whole; `stored`: there are earlier rows of it."""

    entry: Entry
    stored: bool = False


class Transcript:
    """What one turn does to the transcript; nothing is published before `flush`."""

    def __init__(self, turn: Turn, state: State) -> None:
        self._turn = turn
        self._state = state
        self._touched: list[_Text | _Whole] = []  # in the order they are published
        self._cards: dict[str, _Whole] = {}
        self._open: _Text | None = None
        self._stored_open = turn.find(session_open_entries)
        if (row := self._stored_open) is not None:
            self._open = _Text(row.entry, EntryKind(row.kind), row.key, row.at, row.position, row.length)

    def say(self, kind: EntryKind, text: str, key: str = "") -> None:
        """Add streamed text: to the open entry if it is of this kind and message, else to a new one."""
        if not text:
            return
        text_ = self._open
        if text_ is None or text_.kind is not kind or text_.key != key:
            self.end_text()
            text_ = _Text(self._turn.new_id("ent"), kind, key, millis(self._turn.now))
            self._open = text_
        if text_ not in self._touched:
            self._touched.append(text_)
        text_.added.append(text)

    def end_text(self) -> None:
        """The streamed entry is complete."""
        if self._open is None:
            return
        self._open.ended = True
        if self._open not in self._touched:
            self._touched.append(self._open)
        self._open = None

    def add(self, kind: EntryKind, text: str = "", data: Json | None = None) -> str:
        """Add an entry that is complete at once; return its id."""
        self.end_text()
        entry = Entry(id=self._turn.new_id("ent"), position=0, kind=kind, text=text, data=data or {}, at=self._turn.now)
        self._touched.append(_Whole(entry))
        return entry.id

    def card(self, card: str, kind: EntryKind, data: Json, *, text: str | None = None, done: bool) -> Json:
        """Set fields of an entry that changes as a whole, created if there is none; return all its fields."""
        whole = self._cards.get(card) or self._stored(card)
        if whole is None:
            self.end_text()
            entry = Entry(id=self._turn.new_id("ent"), position=0, kind=kind, complete=done, at=self._turn.now)
            whole = _Whole(entry)
            self._turn.insert(session_cards, card=card, entry=entry.id, open=not done)
        elif whole.entry.complete != done:
            self._turn.update(session_cards, {"card": card}, open=not done)
        changes: dict[str, Any] = {"data": {**whole.entry.data, **data}, "complete": done}
        if text is not None:
            changes["text"] = text
        whole.entry = whole.entry.model_copy(update=changes)
        self._cards[card] = whole
        if whole not in self._touched:
            self._touched.append(whole)
        return whole.entry.data

    def data(self, card: str) -> Json | None:
        """The fields of a card, None if there is none."""
        whole = self._cards.get(card) or self._stored(card)
        if whole is None:
            return None
        self._cards[card] = whole
        return whole.entry.data

    def stored(self, entry: str) -> Entry | None:
        """An entry that was published as a whole before this turn."""
        events = self._turn.own_events(entry)
        return EntryChanged.model_validate_json(events[-1].body).entry if events else None

    def put(self, entry: Entry, *, new: bool = False) -> None:
        """Publish an entry at the position that it has."""
        self._touched.append(_Whole(entry, stored=not new))

    def open_cards(self, prefix: str) -> list[str]:
        """The cards of this kind that are not finished."""
        rows = self._turn.all(session_cards, open=True, order_by=session_cards.c.entry)
        return [row.card for row in rows if row.card.startswith(prefix)]

    def _stored(self, card: str) -> _Whole | None:
        row = self._turn.find(session_cards, card=card)
        entry = self.stored(row.entry) if row else None
        return _Whole(entry, stored=True) if entry else None

    def flush(self) -> None:
        """Publish what was touched, in order, each once, and remember the open entry."""
        for touched in self._touched:
            if isinstance(touched, _Whole):
                self._publish(touched.entry, touched.stored)
            elif touched.ended:
                self._finish(touched)
            else:
                self._delta(touched)
        self._touched.clear()
        self._cards.clear()
        self._remember_open()

    def _remember_open(self) -> None:
        text, known = self._open, self._stored_open
        if text is None:
            if known is not None:
                self._turn.delete(session_open_entries)
        elif known is None:
            self._turn.insert(session_open_entries, **text.row())
        elif (known.entry, known.length, known.position) != (text.id, text.length, text.position):
            self._turn.update(session_open_entries, **text.row())

    @property
    def open_kind(self) -> EntryKind | None:
        """The kind of the streamed entry that is not complete, if there is one."""
        return self._open.kind if self._open else None

    def _publish(self, entry: Entry, stored: bool) -> None:
        if stored:
            self._turn.compact(entry.id)
        if not entry.position:
            entry = entry.model_copy(update={"position": self._turn.version + 1})
        self._turn.publish(EntryChanged(entity=entry.id, repository=self._state.repository_id, entry=entry))

    def _finish(self, text: _Text) -> None:
        """Its deltas become one row under the same id."""
        stored = self._turn.own_events(text.id) if text.length else ()
        parts = [json.loads(row.body)["text"] for row in stored if row.word == MessageDelta.__name__]
        entry = Entry(
            id=text.id,
            position=text.position,
            kind=text.kind,
            text="".join([*parts, *text.added]),
            at=utc(text.at),
        )
        self._publish(entry, bool(stored))

    def _delta(self, text: _Text) -> None:
        added = "".join(text.added)
        text.position = text.position or self._turn.version + 1
        self._turn.publish(
            MessageDelta(
                entity=text.id,
                repository=self._state.repository_id,
                position=text.position,
                kind=text.kind,
                offset=text.length,
                text=added,
                at=utc(text.at),
            )
        )
        text.length += len(added)
        text.added.clear()
