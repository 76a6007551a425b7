"""What a column has of a value, and the model made of a row. One actor's rows, whoever reads them."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Column, MetaData, String, Table, Text, create_engine, insert, select

from foundry.contracts.messages import Address, Model
from foundry.runtime.columns import columns, from_row
from foundry.runtime.reader import Reader


class Colour(StrEnum):
    RED = "red"


class Point(Model):
    x: int = 0


class Thing(Model):
    id: str
    colour: Colour
    at: datetime | None = None
    where: Point | None = None
    names: list[str] = []
    note: str = ""
    absent: int = 3


METADATA = MetaData()
THINGS = Table(
    "things",
    METADATA,
    Column("thing", String),
    Column("colour", String),
    Column("at", BigInteger),
    Column("old", Text, key="where"),
    Column("names", Text),
    Column("note", String),
    Column("inside", String),
    info={"owner": "Thing"},
)
WHOLE = Thing(
    id="t1",
    colour=Colour.RED,
    at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    where=Point(x=7),
    names=["a", "b"],
    note="n",
)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    connection = create_engine(f"sqlite:///{tmp_path}/things.db").connect()
    METADATA.create_all(connection)
    values = {name: value for name, value in WHOLE if name not in ("id", "absent")}
    connection.execute(insert(THINGS), {"thing": "t1", **columns(values)})
    bare = {"thing": "t2", "colour": "red", "names": "[]", "note": ""}
    connection.execute(insert(THINGS).values(bare))
    return Reader(connection)


def test_a_value_is_stored_as_text_number_or_truth(reader: Reader) -> None:
    row = reader.one(select(THINGS).where(THINGS.c.thing == "t1"))
    assert tuple(row) == ("t1", "red", 1767323045000, '{"x":7}', '["a", "b"]', "n", None)


def test_a_model_comes_back_from_its_row(reader: Reader) -> None:
    row = reader.one(select(THINGS).where(THINGS.c.thing == "t1"))
    assert from_row(Thing, row, id=row.thing) == WHOLE


def test_what_a_row_does_not_have_is_absent_and_what_is_given_counts(reader: Reader) -> None:
    row = reader.one(select(THINGS).where(THINGS.c.thing == "t2"))
    assert from_row(Thing, row, id="other", note="said") == Thing(id="other", colour=Colour.RED, note="said")


def test_an_actors_rows_are_its_own(reader: Reader) -> None:
    rows = reader.rows(Address("Thing", "t1"))
    assert [row.thing for row in rows.all(THINGS)] == ["t1"]
    assert rows.find(THINGS, colour=Colour.RED) == rows.one(THINGS)
    assert rows.find(THINGS, note="other") is None
    with pytest.raises(TypeError, match="does not own"):
        reader.rows(Address("Other", "t1")).all(THINGS)
