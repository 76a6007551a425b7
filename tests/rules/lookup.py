"""What the rules of the lookup actors look at: who owns which table, what a view reads, what a module imports."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeGuard

from sqlalchemy import Table
from sqlalchemy.sql.visitors import iterate

from foundry.app import house
from foundry.runtime.columns import AnyRow
from foundry.runtime.reader import Query, Reader
from foundry.runtime.store.tables import metadata
from tests.test_architecture import SRC, imports

assert house  # importing the composition root imports every actor's tables


class Watched(Reader):
    """A reader that remembers which tables were read, and how often it read."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader._connection)
        self.tables: set[str] = set()
        self.reads = 0

    def _note(self, query: Query) -> Query:
        self.tables |= {found.name for start in query.get_final_froms() for found in iterate(start) if _is_table(found)}
        self.reads += 1
        return query

    def one(self, query: Query) -> AnyRow:
        return super().one(self._note(query))

    def first(self, query: Query, values: Mapping[str, object] | None = None) -> AnyRow | None:
        return super().first(self._note(query), values)

    def all(self, query: Query, values: Mapping[str, object] | None = None):  # type: ignore[no-untyped-def]
        return super().all(self._note(query), values)


def _is_table(element: object) -> TypeGuard[Table]:
    return isinstance(element, Table)


def owned_by(kind: str) -> set[str]:
    """The tables that only actors of this kind write."""
    return {table.name for table in metadata.tables.values() if table.info.get("owner") == kind}


def columns_of(kind: str) -> set[str]:
    return {column.name for name in owned_by(kind) for column in metadata.tables[name].columns}


def edge() -> Iterator[Path]:
    """The modules people and programs reach: API, pages, CLI."""
    for room in ("api", "web", "cli"):
        yield from (SRC / room).rglob("*.py")


def naming(word: str) -> set[str]:
    """The modules outside contracts that import this word."""
    found = (path for path in SRC.rglob("*.py") if "contracts" not in path.parts)
    return {str(path.relative_to(SRC)) for path in found if any(n.endswith(f".{word}") for n in imports(path))}


def stored(database: Path, *tables: str) -> str:
    """Everything these tables hold, as one text."""
    with closing(sqlite3.connect(database)) as opened:
        return "\n".join(repr(row) for table in tables for row in opened.execute(f"SELECT * FROM {table}"))
