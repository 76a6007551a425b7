"""What start-up does to a database: brings it to the declared shape, once, and leaves a later version's alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command as alembic
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError

from foundry import RELEASE
from foundry.runtime.store.migrate import (
    HERE,
    DatabaseTooNew,
    alembic_config,
    contracted,
    engine_of,
    head,
    migrate,
    revisions,
)
from foundry.runtime.store.releases import LAST, LAST_REVISION, DatabaseTooOld

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
    write = "import sys, pathlib, scripts.revision as r; r.contraction = lambda: None; "
    write += "r.main('a test', pathlib.Path(sys.argv[1]))"  # as in a release that has not contracted
    command = [sys.executable, "-c", write, str(tmp_path / "migrations")]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=True)
    written = (tmp_path / "migrations" / "versions" / f"{len(revisions()) + 1:04d}_a_test.py").read_text()
    assert f'down_revision = "{head()}"' in written
    assert "op." not in written


def test_a_release_that_has_contracted_gets_no_further_revision() -> None:
    """Databases have the contraction, so nothing goes before it; behind it, a server beside the last release breaks."""
    command = [sys.executable, "scripts/revision.py", "a test"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)
    assert found.returncode == 1
    assert "Begin the next release first" in found.stderr


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


# the last release, and the one before it


def as_left(url: str, revision: str, *statements: str) -> None:
    """A database of an earlier release, and what it left there."""
    engine = engine_of(url)
    with engine.connect() as connection:
        alembic.upgrade(alembic_config(connection), revision)
        for statement in statements:
            connection.execute(text(statement))
        connection.commit()
    engine.dispose()


TASK = """
INSERT INTO tasks (task, organization, repository, repository_id, prompt, title, base, person, state, phase,
phase_since, auto_publish, agent, sandbox, mirror, mirror_at, created_at, changed_at)
VALUES ('tsk_1', '1', '{}', '1', '', '', 'main', '{}', 'ready', 'running', 1, false, 'mock', 'sbx_1', 'm', %s, 1, 2)
"""
WORKFLOW = """
INSERT INTO workflows (id, name, scope, job, release, owner, started_at, generation, crashes, cancelled)
VALUES ('wfl_1', 'rest', '1', '{}', %s, 'Task:tsk_1', 1, 0, 0, 0)
"""
LATER = 9_999_999_999_999  # milliseconds; a lease until then is a living server's


def lease(name: str) -> str:
    return f"INSERT INTO leases (name, holder, fencing, expires_at) VALUES ('{name}', 'one', 1, {LATER})"


def leases(release: str) -> tuple[str, str]:
    """Of a server that lives."""
    return lease("replica:one"), lease(f"release:{release}:one")


def test_a_database_of_the_release_before_the_last_is_refused_in_two_lines(store_url: str) -> None:
    as_left(store_url, "0009")
    with pytest.raises(DatabaseTooOld) as caught:
        migrate(store_url)
    assert "revision is 0009" in caught.value.detail
    assert caught.value.remedy.startswith(f"Start Foundry {LAST} on it first, ")
    assert "\n" not in caught.value.detail + caught.value.remedy


@pytest.mark.parametrize("left", [TASK % "1", WORKFLOW % "NULL"], ids=["a task", "a workflow"])
def test_what_the_last_release_has_not_converted_is_not_lost(store_url: str, left: str) -> None:
    as_left(store_url, LAST_REVISION, left)
    with pytest.raises(DatabaseTooOld, match=r"release 0\.1 left"):
        migrate(store_url)


def test_a_database_that_the_last_release_has_converted_is_contracted_at_once(store_url: str) -> None:
    """And what it stored under other names has its names of today."""
    as_left(store_url, LAST_REVISION, TASK % "2", WORKFLOW % f"'{LAST}'")
    assert not contracted(store_url)
    assert migrate(store_url)
    assert contracted(store_url)
    engine = engine_of(store_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT task FROM tasks")).scalars().all() == ["tsk_1"]
        assert connection.execute(text("SELECT name FROM workflows")).scalars().all() == ["idle_stop"]
    engine.dispose()


def test_nothing_is_taken_from_a_server_of_the_last_release_that_lives(postgres_url: str) -> None:
    """Once it is gone, or has become one of this release, it is."""
    as_left(postgres_url, LAST_REVISION, *leases(LAST))
    migrate(postgres_url)  # as far as it may: what expands
    assert not contracted(postgres_url)
    assert not migrate(postgres_url)
    as_left(postgres_url, LAST_REVISION, "DELETE FROM leases", *leases(RELEASE))

    assert migrate(postgres_url)
    assert contracted(postgres_url)


def test_a_server_that_does_not_say_its_release_is_of_the_one_before_the_last(postgres_url: str) -> None:
    as_left(postgres_url, LAST_REVISION, lease("replica:one"))
    with pytest.raises(DatabaseTooOld, match="still running"):
        migrate(postgres_url)


def test_what_is_in_use_is_taken_away_later(postgres_url: str) -> None:
    as_left(postgres_url, LAST_REVISION)
    engine = engine_of(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("SELECT count(*) FROM tasks"))  # holds a lock until its end
        with pytest.raises(OperationalError, match="lock timeout"):
            migrate(postgres_url)
    engine.dispose()
    assert migrate(postgres_url)


def test_a_session_in_which_nothing_has_happened_since_keeps_what_the_agent_said(store_url: str) -> None:
    session = """
    INSERT INTO sessions (session, task, repository, repository_id, sandbox, agent, title, status, status_since,
    created_at, mode, commands, connected, cursor, resumed, unreachable, replay_ends, needs_context, prompted, stopping)
    VALUES ('ses_1', 'tsk_1', '{}', '1', 'sbx_1', 'mock', '', 'idle', 1, 1, 'plan', '["x"]', false, 0, false, false, '',
    false, false, false)
    """
    as_left(store_url, LAST_REVISION, session)
    assert migrate(store_url)
    engine = engine_of(store_url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT session, mode, commands, usage FROM session_agents")).all()
    engine.dispose()
    assert found == [("ses_1", "plan", '["x"]', "{}")]
