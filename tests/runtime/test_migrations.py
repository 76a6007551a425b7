"""What start-up does to a database: brings it to the declared shape, once, and leaves a later version's alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError

from foundry import RELEASE
from foundry.runtime.store.migrate import (
    HERE,
    DatabaseTooNew,
    before_contracting,
    contracted,
    engine_of,
    head,
    migrate,
    revisions,
)
from foundry.runtime.store.releases import LAST, LAST_REVISION, DatabaseTooOld
from tests.runtime.databases import as_left, done_to, got, lease, leases, mail

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
    versions = revisions_of(tmp_path)
    written = next_revision(versions.parent)
    assert written.returncode == 0, written.stderr
    (file,) = versions.glob("*_a_test.py")
    assert file.name == f"{len(revisions()) + 1:04d}_a_test.py"
    assert f'down_revision = "{head()}"' in file.read_text()
    assert "op." not in file.read_text()


def test_a_release_that_has_contracted_gets_no_further_revision(contracting: Path) -> None:
    """Databases have the contraction, so nothing goes before it; behind it, a server beside the last release breaks."""
    found = next_revision(contracting)
    assert found.returncode == 1
    assert "Begin the next release first" in found.stderr
    assert not list((contracting / "versions").glob("*_a_test.py"))


def next_revision(directory: Path) -> subprocess.CompletedProcess[str]:
    """`make revision MESSAGE="a test"`, of the revisions in this directory."""
    write = "import sys, pathlib, scripts.revision as r; r.main('a test', pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", write, str(directory)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)


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


CONTRACTION = f"""
from alembic import op
revision = "{{number}}"
down_revision = "{{before}}"
branch_labels = None
depends_on = None
CONTRACTS = "{LAST_REVISION}"
def upgrade() -> None:
    with op.batch_alter_table("tasks") as tasks:
        tasks.drop_column("note")
"""


def revisions_of(place: Path) -> Path:
    """A copy of this release's revisions, to put another one beside them."""
    shutil.copytree(HERE, place / "migrations")
    return place / "migrations" / "versions"


@pytest.fixture
def contracting(tmp_path: Path) -> Path:
    """This release's migrations, with a contraction at their end."""
    versions, last = revisions_of(tmp_path), before_contracting()
    for file in versions.glob("[0-9]*.py"):
        if file.name[:4] > last:  # the release's own one
            file.unlink()
    number = f"{int(last) + 1:04d}"
    (versions / f"{number}_a_contraction.py").write_text(CONTRACTION.format(number=number, before=last))
    return versions.parent


TASK = """
INSERT INTO tasks (task, organization, repository_id, prompt, title, base, person, state, phase,
phase_since, auto_publish, agent, sandbox, created_at, changed_at)
VALUES ('tsk_1', '1', '1', '', '', 'main', '{}', 'ready', 'running', 1, false, 'mock', 'sbx_1', 1, 2)
"""
WORKFLOW = """
INSERT INTO workflows (id, name, scope, job, release, owner, started_at, generation, crashes, cancelled)
VALUES ('wfl_1', 'idle_stop', '1', '{}', %s, 'Task:tsk_1', 1, 0, 0, 0)
"""


@pytest.mark.parametrize("revision", ["0009", "0010"])
def test_a_database_of_the_release_before_the_last_is_refused_in_two_lines(store_url: str, revision: str) -> None:
    as_left(store_url, revision)
    with pytest.raises(DatabaseTooOld) as caught:
        migrate(store_url)
    assert f"revision is {revision}" in caught.value.detail
    assert caught.value.remedy.startswith(f"Start Foundry {LAST} on it first, ")
    assert "\n" not in caught.value.detail + caught.value.remedy


@pytest.mark.parametrize("release", ["'0.2'", "NULL"])
def test_a_workflow_of_the_release_before_the_last_has_to_end_first(store_url: str, release: str) -> None:
    """Its steps have other names. Nothing is changed until it has ended under the last release."""
    as_left(store_url, LAST_REVISION, WORKFLOW % release)
    with pytest.raises(DatabaseTooOld, match=f"releases before {LAST} left 1 running workflows"):
        migrate(store_url)
    assert got(store_url, "SELECT version_num FROM alembic_version") == [(LAST_REVISION,)]
    done_to(store_url, "DELETE FROM workflows", WORKFLOW.replace("wfl_1", "wfl_2") % f"'{LAST}'")
    assert migrate(store_url)


def test_a_database_that_nobody_else_uses_is_contracted_at_once(store_url: str, contracting: Path) -> None:
    """Nothing else of the last release's is lost."""
    as_left(store_url, LAST_REVISION, TASK, WORKFLOW % f"'{LAST}'")
    assert not contracted(store_url, contracting)
    assert migrate(store_url, contracting)
    assert contracted(store_url, contracting)
    engine = engine_of(store_url)
    with engine.connect() as connection:
        assert "note" not in {column["name"] for column in inspect(connection).get_columns("tasks")}
    engine.dispose()
    assert got(store_url, "SELECT task FROM tasks") == [("tsk_1",)]
    assert got(store_url, "SELECT name FROM workflows") == [("idle_stop",)]


def test_nothing_is_taken_from_a_server_of_the_last_release_that_lives(postgres_url: str, contracting: Path) -> None:
    """Once it is gone, or has become one of this release, it is."""
    as_left(postgres_url, LAST_REVISION, *leases(LAST))
    assert migrate(postgres_url, contracting), "as far as it may: what expands"
    assert not contracted(postgres_url, contracting)
    assert not migrate(postgres_url, contracting)
    done_to(postgres_url, "SELECT note FROM tasks", "DELETE FROM leases", *leases(RELEASE))

    assert migrate(postgres_url, contracting)
    assert contracted(postgres_url, contracting)


def test_a_server_without_a_release_is_none_that_could_use_the_database(postgres_url: str, contracting: Path) -> None:
    """0.2 and later say theirs with each heartbeat. 0.1 did not, and cannot use what 0.3 has contracted."""
    as_left(postgres_url, LAST_REVISION, lease("replica:one"))
    assert migrate(postgres_url, contracting)
    assert contracted(postgres_url, contracting)


def test_what_is_in_use_is_taken_away_later(postgres_url: str, contracting: Path) -> None:
    """Also behind a revision that commits in between, as the conversion of many rows does."""
    as_left(postgres_url, LAST_REVISION, mail(1, "TroubleEnded"))
    engine = engine_of(postgres_url)
    with engine.begin() as connection:
        connection.execute(text("SELECT count(*) FROM tasks"))  # holds a lock until its end
        with pytest.raises(OperationalError, match="lock timeout"):
            migrate(postgres_url, contracting)
    engine.dispose()
    assert not contracted(postgres_url, contracting)
    assert migrate(postgres_url, contracting)
    assert contracted(postgres_url, contracting)
