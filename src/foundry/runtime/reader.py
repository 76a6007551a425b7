"""Reading: the whole database in one snapshot (`Reader`), and one actor's own rows (`Rows`), which a turn reads too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, bindparam, func, select

from foundry.contracts.errors import NotFound
from foundry.contracts.ids import WorkflowId
from foundry.contracts.messages import Address
from foundry.runtime.columns import AnyRow, columns
from foundry.runtime.store.tables import actors, events, workflows

Query = Select[*tuple[Any, ...]]


class Reader:
    """Reads, in one snapshot. The edge's views take this type; they cannot write."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def rows(self, address: Address) -> Rows:
        """The actor's own rows, as its turns find them."""
        return Rows(address, lambda: self._connection)

    def one(self, query: Query) -> AnyRow:
        """The row of a query that has exactly one.

        Raises:
            NotFound: there is none.
        """
        row = self._connection.execute(query).first()
        if row is None:
            raise NotFound(f"no such row in {', '.join(str(f) for f in query.get_final_froms())}")
        return row

    def first(self, query: Query, values: Mapping[str, object] | None = None) -> AnyRow | None:
        return self._connection.execute(query, values).first()

    def all(self, query: Query, values: Mapping[str, object] | None = None) -> Sequence[AnyRow]:
        """The rows of a query.

        Args:
            values: of its `bindparam`s.
        """
        return self._connection.execute(query, values).all()

    def version(self, address: Address) -> int:
        """The version of the actor's topic in this snapshot; 0 if there is no such actor.

        Raises:
            NotFound: the actor does not exist or has ended.
        """
        row = self.first(select(actors.c.version, actors.c.deleted_at).where(actors.c.actor == str(address)))
        if row is None or row.deleted_at is not None:
            raise NotFound(f"no {address.kind} with id {address.key}")
        return row.version

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


class Rows:
    """One actor's own rows. Its views take this type: a turn is one, and `Reader.rows` makes one for the edge."""

    def __init__(self, address: Address, connection: Callable[[], Connection]) -> None:
        self.address = address
        self.key = address.key
        self._connection = connection

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
        query = _own(table, tuple(where)).where(*conditions)
        if order_by is not None:
            query = query.order_by(order_by)
        return self._connection().execute(query.limit(limit), binds(where, self.key)).all()

    def count(self, table: Table, *conditions: ColumnElement[bool], **where: object) -> int:
        """How many rows `all` would find."""
        self._check(table)
        query = _own(table, tuple(where)).where(*conditions).with_only_columns(func.count())
        return self._connection().execute(query, binds(where, self.key)).scalar_one()

    def running(self, name: str | None = None) -> list[Running]:
        """This actor's workflows that have not ended, the oldest first.

        Args:
            name: only those of this name.
        """
        rows = self._connection().execute(_RUNNING, {"owner": str(self.address)}).all()
        found = [Running(WorkflowId(r.id), r.name, r.started_at, bool(r.cancelled)) for r in rows]
        return found if name is None else [one for one in found if one.name == name]

    def _rows(self, table: Table, where: Mapping[str, object]) -> Sequence[AnyRow]:
        self._check(table)
        return self._connection().execute(_own(table, tuple(where)), binds(where, self.key)).all()

    def _check(self, table: Table) -> None:
        if table.info.get("owner") != self.address.kind:
            raise TypeError(f"{self.address.kind} does not own the table {table.name}; send its owner a message")


@lru_cache(maxsize=1024)
def _own(table: Table, names: tuple[str, ...]) -> Query:
    """Rows of `table` that belong to one actor, found by these columns; built once, so compiled once."""
    query = select(table).where(owner_of(table) == bindparam("_owner"))
    return query.where(*(table.c[name] == bindparam(f"_{name}") for name in names))


def owner_of(table: Table) -> Column[Any]:
    """The column that has the key of the actor whose row it is."""
    return table.columns.values()[0]


def binds(where: Mapping[str, object], owner: object) -> dict[str, object]:
    """The parameters of a statement about an actor's own rows with these values."""
    return {"_owner": owner, **{f"_{name}": value for name, value in columns(where).items()}}
