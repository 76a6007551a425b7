"""Turn: one command or message, for one actor at a time, inside one database transaction.

Guarantee: everything a turn did (its tables, the messages it sent, the events it published, the workflows it
started, its schedules, the idempotency key) commits together or not at all, and nobody hears of it before. A turn is
a plain `def`: it cannot wait for another actor or do I/O, and its context offers nothing that would let it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, delete, insert, select, update

from foundry import RELEASE
from foundry.contracts.ids import WorkflowId
from foundry.contracts.messages import Address, Birth, Event, Message, Model, ScopeId, millis, utc
from foundry.runtime.columns import AnyRow, columns
from foundry.runtime.reader import Reader, Rows, Running, binds, owner_of
from foundry.runtime.store.base import Effects, NewBirth, NewEvent, NewMail, NewStart, Opened, Transaction
from foundry.runtime.store.tables import workflows

Ids = Callable[[str, int], str]  # prefix, Unix milliseconds -> a fresh id


class Turn(Rows):
    """What one turn may do. Nothing here is visible to anybody before the commit.

    Args:
        config: what the composition root gave the actor's kind; its package knows the type.
    """

    def __init__(
        self,
        tx: Transaction,
        address: Address,
        opened: Opened,
        ids: Ids,
        config: object = None,
        birth: Birth | None = None,
    ) -> None:
        super().__init__(address, lambda: tx.connection)
        self.config = config
        self.local: object = None  # what the parts of an actor share during the turn
        self.now: datetime = utc(tx.now)
        self.born = not opened.exists
        self.scope = ScopeId(opened.scope)
        self.effects = Effects()
        self._tx = tx
        self._opened = opened
        self._ids = ids
        self._running: list[Running] | None = None
        self._writes: set[Table] = set()
        self._read: dict[Table, dict[tuple[tuple[str, object], ...], Sequence[AnyRow]]] = {}  # until it is written
        if birth is not None and self.born:
            self.scope = birth.scope
            parent = None if birth.parent is None else str(birth.parent)
            self.effects.birth = NewBirth(address.kind, parent, birth.scope)

    # own tables

    def _rows(self, table: Table, where: Mapping[str, object]) -> Sequence[AnyRow]:
        """Read once per turn, and again after a write."""
        known, key = self._read.setdefault(table, {}), tuple(where.items())
        if key not in known:
            known[key] = super()._rows(table, where)
        return known[key]

    def _written(self, table: Table) -> None:
        self._check(table)
        self._read.pop(table, None)
        self._writes.add(table)

    def wrote(self, table: Table) -> bool:
        """Return True if this turn has written to the table."""
        return table in self._writes

    def insert(self, table: Table, **values: object) -> None:
        """Add a row of the actor's own; the owner's column is filled in."""
        self._written(table)
        self._tx.connection.execute(_insert(table), self._filled(table, values))

    def _filled(self, table: Table, values: Mapping[str, object]) -> dict[str, object]:
        return {owner_of(table).name: self.key, **columns(values)}

    def insert_many(self, table: Table, rows: Iterable[Mapping[str, object]]) -> None:
        self._written(table)
        filled = [self._filled(table, row) for row in rows]
        if filled:
            self._tx.connection.execute(_insert(table), filled)

    def update(self, table: Table, where: Mapping[str, object] | None = None, /, **values: object) -> int:
        """Change the actor's own rows that have the values in `where`. Return how many."""
        self._written(table)
        found = where or {}
        statement = _update(table, tuple(found), tuple(values))
        return self._tx.connection.execute(statement, {**binds(found, self.key), **columns(values)}).rowcount

    def put(self, table: Table, where: Mapping[str, object] | None = None, /, **values: object) -> None:
        """Change the actor's own rows that have the values in `where`; insert one if there are none."""
        if not self.update(table, where, **values):
            self.insert(table, **(where or {}), **values)

    def delete(self, table: Table, *conditions: ColumnElement[bool], **where: object) -> int:
        """Remove the actor's own rows with these values, narrowed by `conditions`. Return how many."""
        self._written(table)
        statement = _delete(table, tuple(where))
        return self._tx.connection.execute(statement.where(*conditions), binds(where, self.key)).rowcount

    # what others will see

    def send(self, to: Address, message: Message) -> None:
        """Enqueue a message; it is applied after the commit, exactly once, in order with this actor's others."""
        seq = self._opened.seq + len(self.effects.mail) + 1
        self.effects.mail.append(NewMail(str(to), seq, type(message).__name__, message.model_dump_json()))

    def publish(self, event: Event) -> int:
        """Publish on this actor's own topic. Return the event's version."""
        version = self.version + 1
        self.effects.events.append(
            NewEvent(
                version,
                type(event).__name__,
                event.entity,
                event.model_dump_json(),
                event.repository,
                event.person,
            )
        )
        return version

    @property
    def version(self) -> int:
        """The version of the topic's last event, those of this turn included."""
        return self._opened.version + len(self.effects.events)

    def show(self, mark: str, event: Callable[[], Event]) -> bool:
        """Publish what this actor looks like now, unless it looked the same when it was last shown.

        Args:
            mark: everything that a subscriber would see, as text. Its digest is compared.
            event: makes the event that carries the whole view.
        """
        return self._new_mark("shown", mark) and bool(self.publish(event()))

    def tell(self, to: Iterable[Address], message: Message, mark: str) -> bool:
        """Send what others store about this actor, unless they were last sent the same.

        Args:
            mark: everything in the message that matters to them, as text.
        """
        if not self._new_mark("told", mark):
            return False
        for address in to:
            self.send(address, message)
        return True

    def tell_again(self) -> None:
        """Make this turn's `tell` send even if nothing changed, because the receivers asked for it."""
        self._opened = self._opened._replace(told=None)

    def _new_mark(self, name: str, text: str) -> bool:
        mark = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        if mark == (getattr(self.effects, name) or getattr(self._opened, name)):
            return False
        setattr(self.effects, name, mark)
        return True

    def compact(self, entity: str) -> None:
        """Delete the stored events of an entity: the events that this turn publishes about it replace them."""
        self.effects.compacted.append(entity)

    def own_events(self, entity: str) -> Sequence[AnyRow]:
        """The stored events of one entity of this actor's topic, oldest first."""
        return Reader(self._tx.connection).events(self.address, entity=entity)

    # workflows

    def running(self, name: str | None = None) -> list[Running]:
        """This actor's workflows that have not ended, the oldest first; those of this turn included.

        Args:
            name: only those of this name.
        """
        if self._running is None:
            self._running = super().running()
        now, cancelled = millis(self.now), set(self.effects.cancels)
        begun = [Running(WorkflowId(one.id), one.name, now, False) for one in self.effects.starts]
        found = [one._replace(cancelling=True) if one.id in cancelled else one for one in (*self._running, *begun)]
        return found if name is None else [one for one in found if one.name == name]

    def start(self, workflow: str, job: Model) -> WorkflowId:
        """Start a workflow owned by this actor, after the commit; its name is one of those registered for it."""
        workflow_id = self.new_id("wfl")
        self.effects.starts.append(NewStart(workflow_id, workflow, self.scope, job.model_dump_json(), RELEASE))
        return WorkflowId(workflow_id)

    def cancel(self, workflow: WorkflowId) -> None:
        """Raise the workflow's generation, so that no further step starts. `WorkflowEnded` says when it is over."""
        self.effects.cancels.append(workflow)

    def again(self, workflow: WorkflowId) -> WorkflowId | None:
        """Cancel a workflow of this actor's that runs, and start the same job again; None if it has ended."""
        query = select(workflows).where(workflows.c.id == workflow, workflows.c.owner == str(self.address))
        row = self._tx.connection.execute(query).first()
        if row is None or row.cancelled:
            return None
        self.cancel(workflow)
        new = self.new_id("wfl")
        self.effects.starts.append(NewStart(new, row.name, ScopeId(row.scope), row.job, RELEASE))
        return WorkflowId(new)

    def schedule(self, name: str, after: timedelta | None) -> None:
        """Call this actor's `@due(name)` function once, after this time; None: not at all.

        A second call replaces the first.
        """
        self.effects.schedules[name] = None if after is None else millis(self.now + after)

    def unschedule(self, name: str) -> None:
        self.schedule(name, None)

    def end(self) -> None:
        """End this actor: what is sent to it later is dropped and counted."""
        self.effects.deleted = True

    def new_id(self, prefix: str) -> str:
        return self._ids(prefix, self._tx.now)


@lru_cache(maxsize=256)
def _insert(table: Table) -> Any:
    return insert(table)


@lru_cache(maxsize=1024)
def _update(table: Table, names: tuple[str, ...], changed: tuple[str, ...]) -> Any:
    statement = update(table).where(owner_of(table) == bindparam("_owner"))
    statement = statement.where(*(table.c[name] == bindparam(f"_{name}") for name in names))
    return statement.values({name: bindparam(name) for name in changed})


@lru_cache(maxsize=1024)
def _delete(table: Table, names: tuple[str, ...]) -> Any:
    statement = delete(table).where(owner_of(table) == bindparam("_owner"))
    return statement.where(*(table.c[name] == bindparam(f"_{name}") for name in names))
