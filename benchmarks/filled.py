"""A database as a team has it after years: 10,000 actors that rest, 1,000 sessions with 1,000 transcript events each.

Written in bulk beside the runtime, in its tables and in the contracts' own words, so that the API reads it like any
other; `start.py` checks that it does.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from foundry.actors.github_state.tables import (
    github_access,
    github_installations,
    github_listing_pages,
    github_listings,
    github_members,
    github_reaches,
    github_states,
)
from foundry.actors.history.tables import history_entries
from foundry.actors.organization.tables import organization_repositories, organization_tasks, organizations
from foundry.actors.repository.tables import repositories, repository_branches, repository_tasks
from foundry.actors.sandbox_instance.tables import sandboxes
from foundry.actors.session_status_sync.tables import read_streams
from foundry.actors.task.tables import task_sessions_known, tasks
from foundry.actors.task_session.row import State
from foundry.actors.task_session.tables import sessions
from foundry.actors.user_github_data.tables import user_identities
from foundry.contracts.github_access import Role
from foundry.contracts.ids import OrganizationId, RepositoryId, TaskId, UserId
from foundry.contracts.messages import utc
from foundry.contracts.people import Access, Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import ArchiveReason, Phase, TaskState, TaskSummary
from foundry.contracts.user_github_data import ConnectionState
from foundry.runtime.store.migrate import engine_of, migrate
from foundry.runtime.store.tables import actors, schedules

ORG = OrganizationId("2001")
ADA = Person(id=UserId("1001"), login="ada", name="Ada Byron")
REPOSITORIES, PEOPLE, SANDBOXES, TASKS = 100, 96, 2_000, 6_700
SESSIONS, EVENTS = 1_000, 1_000  # and events each
DAY = 86_400_000  # milliseconds

Rows = list[dict[str, Any]]


def repository(number: int) -> RepositoryRef:
    """Repository 0 to 99; each has one hundredth of the tasks."""
    return RepositoryRef(
        id=RepositoryId(str(4_000 + number % REPOSITORIES)),
        organization=ORG,
        owner="lumen-works",
        name=f"tally-{number % REPOSITORIES}",
        private=True,
    )


def line(number: int, now: int) -> TaskSummary:
    """A task as lists show it: the first thousand have a session and rest, the others were merged."""
    lives, made = number < SESSIONS, now - (TASKS - number) * 60_000
    return TaskSummary(
        id=TaskId(f"tsk_{number:026d}"),
        repository=repository(number),
        title=f"Change number {number}",
        branch=f"foundry/change-{number}",
        state=TaskState.READY if lives else TaskState.ARCHIVED,
        phase=Phase.RUNNING,
        phase_since=utc(made),
        activity="idle" if lives else "closed",
        created_by=ADA,
        created_at=utc(made),
        changed_at=utc(made),
        archived=None if lives else ArchiveReason.MERGED,
    )


def fill(path: Path) -> None:
    """Make the file and put all of it in; some 20 s."""
    url, now = f"sqlite:///{path}", int(time.time() * 1000)
    migrate(url)
    engine = engine_of(url)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        _coordinators(connection, now)
        _tasks(connection, now)
        _sessions(connection, now)
        connection.exec_driver_sql("COMMIT")
        living = connection.execute(actors.select()).all()
    engine.dispose()
    assert len(living) == 10_000 + SESSIONS, len(living)
    _events(path, now)


def _born(connection: Connection, kind: str, keys: Iterable[str], parent: str | None, now: int, **more: Any) -> None:
    rows = [
        {"actor": f"{kind}:{key}", "kind": kind, "parent": parent, "scope": ORG, "created_at": now, "seq": 1, **more}
        for key in keys
    ]
    connection.execute(insert(actors), rows)


def _coordinators(connection: Connection, now: int) -> None:
    people = [Person(id=UserId(str(1_001 + n)), login="ada" if not n else f"person-{n}") for n in range(PEOPLE)]
    refs = [repository(number) for number in range(REPOSITORIES)]
    top = f"Organization:{ORG}"
    _born(connection, "AppShell", ["app"], None, now)
    _born(connection, "GitHubState", ["app", ORG], top, now)
    _born(connection, "Organization", [ORG], "AppShell:app", now, version=TASKS)
    _born(connection, "UserGitHubData", [one.id for one in people], "AppShell:app", now)
    _born(connection, "Repository", [ref.id for ref in refs], top, now, version=TASKS // REPOSITORIES)
    _born(connection, "History", [ref.id for ref in refs], top, now)
    installed = {"installation": 1, "login": "lumen-works", "active": True}
    connection.execute(insert(organizations), {"organization": ORG, "name": "Lumen", "avatar_url": "", **installed})
    connection.execute(insert(github_installations), {"github": "app", "organization": ORG, **installed})
    states = [{"github": "app", "installation": None, "login": "", "active": True, "access_number": 0}]
    states += [{"github": ORG, "access_number": 1, **installed}]
    connection.execute(insert(github_states), [{"synced_at": now, **one} for one in states])
    known = {"name": "", "email": "", "avatar_url": "", "access_token": "sealed", "changed_at": now}
    known |= {"state": ConnectionState.CONNECTED.value, "state_since": now}
    connection.execute(insert(user_identities), [{"user": one.id, "login": one.login, **known} for one in people])
    for ref in refs:
        named = {"repository": ref.id, "organization": ORG, "ref": ref.model_dump_json()}
        connection.execute(insert(repositories), named)
        connection.execute(insert(organization_repositories), {**named, "full_name": ref.full_name})
    _access(connection, refs, now)


def _access(connection: Connection, refs: list[RepositoryRef], now: int) -> None:
    """Ada administers all of it: her reach, and a whole listing of one page in round 1."""
    hers = {"github": ORG, "person": ADA.id}
    reach = {"installations": "[1]", "single_sign_on": "[]", "number": 0, "at": now}
    connection.execute(insert(github_reaches), {"github": "app", "person": ADA.id, **reach})
    whole = {"role": Role.MEMBER.value, "done": 1, "round": 1, "at": now, "began_at": now, "progressed_at": now}
    connection.execute(insert(github_listings), {**hers, **whole})
    page = {"page": 1, "etag": "", "last": True, "total": len(refs), "round": 1, "at": now}
    connection.execute(insert(github_listing_pages), {**hers, **page})
    right = {"access": Access.ADMIN.value, "page": 1, "number": 1, "at": now}
    connection.execute(insert(github_access), [{**hers, "repository": ref.id, **right} for ref in refs])
    member = {"github": ORG, "user": ADA.id, "login": ADA.login, "role": Role.MEMBER.value}
    connection.execute(insert(github_members), member)


def _tasks(connection: Connection, now: int) -> None:
    rows: dict[Any, Rows] = {t: [] for t in (tasks, organization_tasks, repository_tasks, repository_branches)}
    history: Rows = []
    for number in range(TASKS):
        one = line(number, now)
        at, archived, summary = int(one.created_at.timestamp() * 1000), one.archived, one.model_dump_json()
        listed = {"task": one.id, "archived": archived is not None, "created_at": at, "changed_at": at}
        rows[organization_tasks].append(
            {"organization": ORG, "repository": one.repository.id, "summary": summary, **listed}
        )
        rows[repository_tasks].append({"repository": one.repository.id, "summary": summary, **listed})
        if archived is None:
            held = {"repository": one.repository.id, "branch": one.branch, "task": one.id, "reserved_at": at}
            rows[repository_branches].append(held)
        rows[tasks].append(_task(one, number, at))
        seen = {"number": number // REPOSITORIES + 1, "what": "task_created", "text": one.title, "at": at}
        history.append({"repository": one.repository.id, "task": one.id, "login": "ada", **seen})
    for table, found in rows.items():
        connection.execute(insert(table), found)
    connection.execute(insert(history_entries), history)
    _born(connection, "Task", [row["task"] for row in rows[tasks]], None, now, version=12)
    boxes = [f"sbx_{number:026d}" for number in range(SANDBOXES)]
    _born(connection, "SandboxInstance", boxes, None, now, version=5)
    state = {"provider": "local", "state": "stopped", "state_since": now}
    owned = [{"sandbox": box, "task": rows[tasks][number]["task"], **state} for number, box in enumerate(boxes)]
    connection.execute(insert(sandboxes), owned)


def _task(one: TaskSummary, number: int, at: int) -> dict[str, Any]:
    return {
        "task": one.id,
        "organization": ORG,
        "repository": one.repository.model_dump_json(),
        "prompt": "Change it as the issue says. " * 10,
        "title": one.title,
        "branch": one.branch,
        "base": "main",
        "person": ADA.model_dump_json(),
        "state": one.state.value,
        "phase": one.phase.value,
        "phase_since": at,
        "auto_publish": False,
        "agent": "mock",
        "sandbox": f"sbx_{number % SANDBOXES:026d}",
        "active_session": f"ses_{number:026d}" if number < SESSIONS else None,
        "archived": one.archived.value if one.archived else None,
        "sandbox_stopped": one.archived is None,
        "created_at": at,
        "changed_at": at,
    }


def _sessions(connection: Connection, now: int) -> None:
    keys = [f"ses_{number:026d}" for number in range(SESSIONS)]
    _born(connection, "TaskSession", keys, None, now, version=EVENTS)
    _born(connection, "SessionStatusSync", keys, None, now)
    rows, known, streams = [], [], []
    for number, key in enumerate(keys):
        ref, task = repository(number), f"tsk_{number:026d}"
        state = State(
            session=key,
            task=task,
            repository_id=ref.id,
            sandbox=f"sbx_{number:026d}",
            agent="mock",
            title=f"Change number {number}",
            status="idle",
            status_since=now - DAY,
            failure=None,
            created_at=now - DAY,
            sandbox_stopped=True,
            prompted=True,
        )
        rows.append({"session": key, **state.values()})
        known.append(
            {"task": task, "session": key, "number": 1, "agent": "mock", "status": "idle", "sandbox_stopped": True}
        )
        streams.append(
            {"session": key, "sandbox": state.sandbox, "server": f"acp_{number}", "reading": False, "since": now}
        )
    connection.execute(insert(sessions), rows)
    connection.execute(insert(task_sessions_known), known)
    connection.execute(insert(read_streams), streams)
    late = [{"actor": f"TaskSession:{key}", "name": "watchdog", "due_at": now + DAY, "generation": 1} for key in keys]
    connection.execute(insert(schedules), late)


def _bodies() -> list[tuple[str, str]]:
    """One turn of an agent, (before the position, after it) an entry: a question, thoughts, words, tools, its end."""
    words = "The totals are added before they are rounded, so each line keeps its cents. " * 4
    tool = {
        "kind": "edit",
        "status": "completed",
        "locations": [{"path": "src/tally/totals.py"}],
        "content": ["-    return round(a) + round(b)\n+    return round(a + b)\n" * 4],
    }
    kinds = ["user", *["thought", "agent", "tool", "tool"] * 4, "plan", "agent", "stop"]
    data: dict[str, dict[str, Any]] = {"tool": tool, "plan": {"entries": [{"content": words, "status": "completed"}]}}
    bodies: list[tuple[str, str]] = []
    for kind in kinds:
        text = {"tool": "Edit totals.py", "plan": "", "stop": "end_turn"}.get(kind, words)
        rest = {"kind": kind, "text": text, "complete": True, "data": data.get(kind, {}), "at": "2026-03-01T12:00:00Z"}
        bodies.append(('"person":null,"entry":{"id":"', "," + json.dumps(rest)[1:] + "}"))
    return bodies


def _event_rows(now: int) -> Iterator[tuple[str, int, str, str, str, str, int]]:
    bodies = _bodies()
    for number in range(SESSIONS):
        actor, ref = f"TaskSession:ses_{number:026d}", repository(number).id
        head = f'"repository":"{ref}",'
        for version in range(1, EVENTS + 1):
            before, after = bodies[version % len(bodies)]
            entity = f"ent_{number:013d}{version:013d}"
            body = f'{{"entity":"{entity}",{head}{before}{entity}","position":{version}{after}'
            yield actor, version, "EntryChanged", entity, body, ref, now - DAY + version


def _events(path: Path, now: int) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=OFF", "cache_size=-200000", "wal_autocheckpoint=100000"):
        db.execute(f"PRAGMA {pragma}")
    db.execute("BEGIN")
    db.executemany(
        "INSERT INTO events (actor, version, word, entity, body, repository, at) VALUES (?,?,?,?,?,?,?)",
        _event_rows(now),
    )
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
