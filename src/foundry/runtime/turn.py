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
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Row,
    Select,
    Table,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from foundry import RELEASE
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import WorkflowId
from foundry.contracts.messages import Address, Birth, Event, Message, Model, ScopeId, millis, utc
from foundry.contracts.stored_names import current_workflow, stored_message
from foundry.runtime.store.base import Effects, NewBirth, NewEvent, NewMail, NewStart, Opened, Transaction
from foundry.runtime.store.tables import actors, events, workflows

AnyRow = Row[*tuple[Any, ...]]
Query = Select[*tuple[Any, ...]]
Ids = Callable[[str, int], str]  # prefix, Unix milliseconds -> a fresh id


@lru_cache(maxsize=1024)
def _own(table: Table, names: tuple[str, ...]) -> Query:
    """Rows of `table` that belong to one actor, found by these columns; built once, so compiled once."""
    query = select(table).where(_owner(table) == bindparam("_owner"))
    return query.where(*(table.c[name] == bindparam(f"_{name}") for name in names))


def _owner(table: Table) -> Column[Any]:
    return table.columns.values()[0]


def _binds(where: Mapping[str, object], owner: object) -> dict[str, object]:
    return {"_owner": owner, **{f"_{name}": value for name, value in where.items()}}


class Reader:
    """Reads, in one snapshot. The edge's views take this type; they cannot write."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def one(self, query: Query) -> AnyRow:
        """The row of a query that has exactly one.

        Raises:
            NotFound: there is none.
        """
        row = self._connection.execute(query).first()
        if row is None:
            raise NotFound(f"no such row in {', '.join(str(f) for f in query.get_final_froms())}")
        return row

    def first(self, query: Query) -> AnyRow | None:
        return self._connection.execute(query).first()

    def all(self, query: Query) -> Sequence[AnyRow]:
        return self._connection.execute(query).all()

    def version(self, address: Address) -> int:
        """The version of the actor's topic in this snapshot; 0 if there is no such actor.

        Raises:
            NotFound: the actor does not exist or has ended.
        """
        row = self.first(select(actors.c.version, actors.c.deleted_at).where(actors.c.actor == str(address)))
        if row is None or row.deleted_at is not None:
            raise NotFound(f"no {address.kind} with id {address.key}")
        return row.version

    def running(self, address: Address) -> list[Running]:
        """The actor's workflows that have not ended, the oldest first."""
        return _running(self._connection, address)

    def exists(self, address: Address) -> bool:
        query = select(actors.c.actor).where(actors.c.actor == str(address), actors.c.deleted_at.is_(None))
        return self.first(query) is not None

    def events(
        self, address: Address, after: int = 0, limit: int | None = None, entity: str | None = None
    ) -> Sequence[AnyRow]:
        """The stored events of a topic with a version above `after`, oldest first."""
        query = select(events).where(events.c.actor == str(address), events.c.version > after)
        if entity is not None:
            query = query.where(events.c.entity == entity)
        return self.all(query.order_by(events.c.version).limit(limit))


class Running(NamedTuple):
    """A workflow of this actor's that has not ended yet."""

    id: WorkflowId
    name: str
    since: int  # Unix milliseconds
    cancelling: bool  # no further step begins; the one under way may still act


_RUNNING = (
    select(workflows.c.id, workflows.c.name, workflows.c.started_at, workflows.c.cancelled)
    .where(workflows.c.owner == bindparam("owner"))
    .order_by(workflows.c.started_at, workflows.c.id)
)


def _running(connection: Connection, owner: Address) -> list[Running]:
    rows = connection.execute(_RUNNING, {"owner": str(owner)}).all()
    return [Running(WorkflowId(r.id), current_workflow(r.name), r.started_at, bool(r.cancelled)) for r in rows]


class Turn:
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
        self.address = address
        self.key = address.key
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

    def _check(self, table: Table) -> None:
        if table.info.get("owner") != self.address.kind:
            raise TypeError(f"{self.address.kind} does not own the table {table.name}; send its owner a message")

    def find(self, table: Table, **where: object) -> AnyRow | None:
        """The actor's own row of `table` with these values; None if there is none."""
        rows = self._rows(table, where)
        return rows[0] if rows else None

    def one(self, table: Table, **where: object) -> AnyRow:
        """The same, where it has to exist.

        Raises:
            NotFound: it does not.
        """
        row = self.find(table, **where)
        if row is None:
            named = ", ".join(str(value) for value in where.values()) or self.key
            raise NotFound(f"{self.address.kind} {self.key} has no {table.name} {named}")
        return row

    def all(self, table: Table, *conditions: ColumnElement[bool], order_by: Any = None, limit: int | None = None,
            **where: object) -> Sequence[AnyRow]:  # fmt: skip
        """The actor's own rows with these values, narrowed by `conditions`."""
        if not conditions and order_by is None and limit is None:
            return self._rows(table, where)
        self._check(table)
        query = _own(table, tuple(where))
        if conditions:
            query = query.where(*conditions)
        if order_by is not None:
            query = query.order_by(order_by)
        if limit is not None:
            query = query.limit(limit)
        return self._tx.connection.execute(query, _binds(where, self.key)).all()

    def _rows(self, table: Table, where: Mapping[str, object]) -> Sequence[AnyRow]:
        """Read once per turn, and again after a write."""
        self._check(table)
        known, key = self._read.setdefault(table, {}), tuple(where.items())
        if key not in known:
            known[key] = self._tx.connection.execute(_own(table, tuple(where)), _binds(where, self.key)).all()
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
        self._tx.connection.execute(_insert(table), {_owner(table).name: self.key, **values})

    def insert_many(self, table: Table, rows: Iterable[Mapping[str, object]]) -> None:
        self._written(table)
        filled = [{_owner(table).name: self.key, **row} for row in rows]
        if filled:
            self._tx.connection.execute(_insert(table), filled)

    def update(self, table: Table, where: Mapping[str, object] | None = None, /, **values: object) -> int:
        """Change the actor's own rows that have the values in `where`. Return how many."""
        self._written(table)
        found = where or {}
        statement = _update(table, tuple(found), tuple(values))
        return self._tx.connection.execute(statement, {**_binds(found, self.key), **values}).rowcount

    def put(self, table: Table, where: Mapping[str, object] | None = None, /, **values: object) -> None:
        """Change the actor's own rows that have the values in `where`; insert one if there are none."""
        if not self.update(table, where, **values):
            self.insert(table, **(where or {}), **values)

    def delete(self, table: Table, **where: object) -> int:
        """Remove the actor's own rows with these values. Return how many."""
        self._written(table)
        return self._tx.connection.execute(_delete(table, tuple(where)), _binds(where, self.key)).rowcount

    # what others will see

    def send(self, to: Address, message: Message) -> None:
        """Enqueue a message; it is applied after the commit, exactly once, in order with this actor's others."""
        seq = self._opened.seq + len(self.effects.mail) + 1
        name = stored_message(type(message).__name__)
        self.effects.mail.append(NewMail(str(to), seq, name, message.model_dump_json()))

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
            self._running = _running(self._tx.connection, self.address)
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

    def schedule(self, name: str, after: timedelta) -> None:
        """Call this actor's `@due(name)` function once, after this time. A second call replaces the first."""
        self.effects.schedules[name] = millis(self.now + after)

    def unschedule(self, name: str) -> None:
        self.effects.schedules[name] = None

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
    statement = update(table).where(_owner(table) == bindparam("_owner"))
    statement = statement.where(*(table.c[name] == bindparam(f"_{name}") for name in names))
    return statement.values({name: bindparam(name) for name in changed})


@lru_cache(maxsize=1024)
def _delete(table: Table, names: tuple[str, ...]) -> Any:
    statement = delete(table).where(_owner(table) == bindparam("_owner"))
    return statement.where(*(table.c[name] == bindparam(f"_{name}") for name in names))
