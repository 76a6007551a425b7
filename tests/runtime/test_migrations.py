"""What start-up does to a database: brings it to the declared shape, once, and leaves a later version's alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from foundry.runtime.store.migrate import HERE, DatabaseTooNew, engine_of, head, migrate, revisions

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT = 60.0  # seconds for two processes to start and migrate


DIFFERENCES = """
import sys
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
import foundry.app  # every actor, and so every table
from foundry.runtime.store.migrate import engine_of
from foundry.runtime.store.tables import metadata
with engine_of(sys.argv[1]).connect() as connection:
    # SQLite spells an empty default in another way; the revisions are the same ones
    how = {"compare_type": True, "compare_server_default": connection.dialect.name != "sqlite"}
    for difference in compare_metadata(MigrationContext.configure(connection, opts=how), metadata):
        one = difference[0] if isinstance(difference, list) else difference
        table = one[2]
        if one[0] == "modify_default" and (table, one[3]) in (("sessions", "resting"), ("sessions", "heard_at")):
            continue  # release 0.1 relies on it; 0.3 drops it
        print(difference)
"""


def test_the_migrated_schema_is_the_declared_one(store_url: str) -> None:
    """Otherwise a new installation and an old one would differ, or a table would be missing where it runs.

    Compared in a process of its own: tests declare tables too, in the same metadata.
    """
    assert migrate(store_url)
    command = [sys.executable, "-c", DIFFERENCES, store_url]
    found = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=True)
    assert found.stdout == ""


def test_the_next_revision_is_written_from_the_declared_tables(tmp_path: Path) -> None:
    """Nothing has changed, so it is empty."""
    shutil.copytree(HERE, tmp_path / "migrations")
    write = "import sys, pathlib, scripts.revision as r; r.main('a test', pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", write, str(tmp_path / "migrations")]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=True)
    written = (tmp_path / "migrations" / "versions" / f"{len(revisions()) + 1:04d}_a_test.py").read_text()
    assert f"down_revision = '{head()}'" in written
    assert "op." not in written


def test_a_second_start_has_nothing_to_do(store_url: str) -> None:
    assert migrate(store_url)
    assert not migrate(store_url)


def test_the_revisions_are_one_line() -> None:
    known = revisions()
    at, seen = head(), 0
    while at:
        at, seen = known[at], seen + 1
    assert seen == len(known)


RACE = """
import sys
from foundry.runtime.store import migrate
import alembic.command
print("ready", flush=True)
sys.stdin.readline()
print(migrate.migrate(sys.argv[1]))
"""


def test_two_processes_that_start_at_once_migrate_once(postgres_url: str) -> None:
    """On SQLite the lock on the data directory keeps the second one out."""
    command = [sys.executable, "-c", RACE, postgres_url]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    both = [subprocess.Popen(command, text=True, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    try:
        assert [one.stdout.readline() for one in both] == ["ready\n"] * 2
        for one in both:
            one.stdin.write("go\n")
            one.stdin.flush()
        told = [one.communicate(timeout=LIMIT) for one in both]
    finally:
        for one in both:
            one.kill()
    assert [one.returncode for one in both] == [0, 0], told
    assert sorted(out.strip() for out, _ in told) == ["False", "True"]


def test_a_database_of_a_later_version_is_refused_and_left_alone(store_url: str) -> None:
    migrate(store_url)
    engine = engine_of(store_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num='9999'"))
        connection.exec_driver_sql("DROP TABLE schedules")
    with pytest.raises(DatabaseTooNew, match="9999") as caught:
        migrate(store_url)
    assert "later version" in caught.value.remedy
    with engine.connect() as connection:
        assert not inspect(connection).has_table("schedules")
    engine.dispose()


def test_a_migration_that_fails_leaves_nothing(store_url: str) -> None:
    """The next start finds what this one found."""
    engine = engine_of(store_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE workflows (id INTEGER)")  # in the way of the first revision
    with pytest.raises(Exception, match="workflows"):
        migrate(store_url)
    with engine.begin() as connection:
        tables = set(inspect(connection).get_table_names())
        assert tables <= {"workflows", "alembic_version"}
        connection.exec_driver_sql("DROP TABLE workflows")
    engine.dispose()
    assert migrate(store_url)
