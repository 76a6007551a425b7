"""A migration expands: a server of the version before goes on reading and writing. What contracts says since when
nobody uses it any more: `CONTRACTS = "0007"`, the revision of the version that stopped. What changes rows says since
when they are read and written like that: `CONVERTS = "0007"`, the newest revision of the version that began to."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Boolean, Connection, Integer, LargeBinary, MetaData, Table, insert, select, update

from foundry.runtime.store.migrate import HERE, alembic_config, contraction, engine_of, head, revisions

FILES = sorted((HERE / "versions").glob("[0-9]*.py"))
TAKES_AWAY = {"drop_table", "drop_column", "drop_constraint", "rename_table", "execute"}
DEMANDS = {"create_unique_constraint", "create_check_constraint", "create_foreign_key", "create_primary_key"}
REASONS = {
    **dict.fromkeys(TAKES_AWAY, "takes away what the version before may use"),
    **dict.fromkeys(DEMANDS, "demands what the version before may not keep"),
}


EXECUTES = {"execute", "exec_driver_sql", "execute_if", "bulk_insert", "scalar", "scalars"}  # of any object


def contracts(source: str) -> str | None:
    """The revision since which nobody uses what this one takes away."""
    return _said(source, "CONTRACTS")


def converts(source: str) -> str | None:
    """The revision since which rows are read and written as this one leaves them."""
    return _said(source, "CONVERTS")


def _said(source: str, name: str) -> str | None:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            return ast.literal_eval(node.value)
    return None


def executes(source: str) -> list[str]:
    """Calls, anywhere in it, that may change rows."""
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    return [ast.unparse(call) for call in calls if _name(call) in EXECUTES]


EXPANDING = {file.name.partition("_")[0] for file in FILES if contracts(file.read_text()) is None}
STEPS = [(before, after) for after, before in sorted(revisions().items()) if before and after in EXPANDING]


def narrows(source: str) -> list[str]:
    """What in it a server of the version before could not live with; what it creates itself is nobody else's yet."""
    upgrade = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == "upgrade")
    calls = [n for n in ast.walk(upgrade) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    created = {ast.unparse(call.args[0]) for call in calls if _name(call) == "create_table"}
    own = {id(n) for block in ast.walk(upgrade) if _alters(block, created) for n in ast.walk(block)}
    return [reason for call in calls if id(call) not in own and (reason := _reason(call, created))]


def _alters(node: ast.AST, created: set[str]) -> bool:
    """A `with op.batch_alter_table(...)` of a table that was created here."""
    if not isinstance(node, ast.With) or not isinstance(call := node.items[0].context_expr, ast.Call):
        return False
    return _name(call) == "batch_alter_table" and ast.unparse(call.args[0]) in created


def _reason(call: ast.Call, created: set[str]) -> str:
    name, given = _name(call), {k.arg: ast.unparse(k.value) for k in call.keywords}
    what = ast.unparse(call)
    if name in REASONS:
        return f"{what} {REASONS[name]}"
    if name == "alter_column" and (given.keys() & {"new_column_name", "type_"} or given.get("nullable") == "False"):
        return f"{what} changes what the version before uses"
    if name == "create_index" and given.get("unique") == "True" and ast.unparse(call.args[1]) not in created:
        return f"{what} demands what the version before may not keep"
    if name == "add_column":
        column = next(arg for arg in call.args if isinstance(arg, ast.Call))
        said = {k.arg: ast.unparse(k.value) for k in column.keywords}
        if said.get("nullable", "True") == "False" and "server_default" not in said:
            return f"{what} wants a value that the version before does not give"
    return ""


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_revision_takes_nothing_away_that_is_still_used(file: Path) -> None:
    source = file.read_text()
    since = contracts(source)
    if since is None:
        assert narrows(source) == [], "expand now, contract in a later version with CONTRACTS (docs/operations.md)"
    else:
        _names_one_before(since, file)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_revision_changes_rows_only_into_what_the_last_version_reads(file: Path) -> None:
    source = file.read_text()
    if since := converts(source):
        _names_one_before(since, file)
        assert contracts(source) is None, "it would run while servers live that need what it takes away"
    elif contracts(source) is None:
        assert executes(source) == [], "say since when the rows' new form is read, with CONVERTS (docs/operations.md)"


def _names_one_before(since: str, file: Path) -> None:
    assert since in revisions(), "it names no revision"
    assert since < file.name[:4], "it names none before it"


def test_nothing_stands_behind_this_releases_contraction() -> None:
    """A server that starts beside one of the last release could have the one only by way of the other."""
    assert contraction() in (None, head()), "it belongs to the next release (CONTRIBUTING.md, Change a table)"


@pytest.mark.parametrize(
    "line",
    [
        'op.drop_table("tasks")',
        'op.rename_table("tasks", "jobs")',
        'op.execute("UPDATE tasks SET phase = 1")',
        'op.create_index("one", "tasks", ["branch"], unique=True)',
        'op.add_column("tasks", sa.Column("mood", sa.Text(), nullable=False))',
        'with op.batch_alter_table("tasks") as b: b.drop_column("phase")',
        'with op.batch_alter_table("tasks") as b: b.alter_column("phase", new_column_name="stage")',
        'with op.batch_alter_table("tasks") as b: b.alter_column("phase", nullable=False)',
        'with op.batch_alter_table("tasks") as b: b.create_unique_constraint("one", ["branch"])',
    ],
)
def test_what_narrows_is_seen(line: str) -> None:
    assert len(narrows(f'CONTRACTS = "0001"\ndef upgrade():\n    {line}')) == 1


@pytest.mark.parametrize(
    "line", ["connection.execute(change)", 'op.execute("UPDATE x")', 'op.get_bind().exec_driver_sql("UPDATE x")']
)
def test_what_changes_rows_is_seen_wherever_it_stands(line: str) -> None:
    assert len(executes(f"def upgrade():\n    _help()\ndef _help():\n    {line}")) == 1


@pytest.mark.parametrize(
    "line",
    [
        'op.create_table("moods", sa.Column("task", sa.String(), nullable=False))',
        'op.create_table("moods")\n    op.create_index("one", "moods", ["task"], unique=True)',
        'op.create_table("moods")\n    with op.batch_alter_table("moods") as b: b.create_unique_constraint("one", [])',
        'op.create_index("some", "tasks", ["branch"], unique=False)',
        'op.add_column("tasks", sa.Column("mood", sa.Text(), nullable=True))',
        'op.add_column("tasks", sa.Column("mood", sa.Text(), server_default="", nullable=False))',
        'with op.batch_alter_table("tasks") as b: b.alter_column("phase", nullable=True)',
    ],
)
def test_what_expands_is_let_through(line: str) -> None:
    assert narrows(f"def upgrade():\n    {line}") == []


# and in fact


def known(connection: Connection) -> list[Table]:
    """The tables as they are now."""
    found = MetaData()
    found.reflect(connection)
    return [table for table in found.sorted_tables if table.name != "alembic_version"]


def row(table: Table, numbers: Iterator[int]) -> dict[str, Any]:
    """Some value in every column."""
    return {column.name: _value(column.type, next(numbers)) for column in table.columns}


def _value(kind: Any, number: int) -> Any:
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, Integer):
        return number
    return b"x" if isinstance(kind, LargeBinary) else f"text {number}"


@pytest.mark.parametrize(("before", "after"), STEPS)
def test_a_server_of_the_version_before_reads_and_writes_on(store_url: str, before: str, after: str) -> None:
    """Also what was there before, and the columns it does not know get values that the new one can read."""
    numbers = count(1)
    engine = engine_of(store_url)
    with engine.connect() as connection:
        command.upgrade(alembic_config(connection), before)
        connection.commit()
        old = known(connection)
        kept = {table.name: row(table, numbers) for table in old}
        for table in old:
            connection.execute(insert(table).values(kept[table.name]))
        connection.commit()
        command.upgrade(alembic_config(connection), after)
        connection.commit()
        for table in old:
            connection.execute(insert(table).values(row(table, numbers)))
            if rest := {c.name: c for c in table.columns if not c.primary_key}:
                connection.execute(update(table).values(rest))
            found = [dict(r._mapping) for r in connection.execute(select(table))]
            assert kept[table.name] in found
            assert len(found) == 2
        for table in known(connection):
            connection.execute(select(table)).all()
    engine.dispose()
