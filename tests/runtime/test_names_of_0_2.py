"""What release 0.2 stored, and 0.3 has left as it was, has today's names: revision 0012."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from foundry.contracts.ids import OrganizationId, RepositoryId, SandboxId, SessionId, TaskId, UserId
from foundry.contracts.issues import Failure, FailureRaised, IssueKind
from foundry.contracts.messages import APP, Model
from foundry.contracts.organization import IssuesChanged, IssueView
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import SandboxChanged, SandboxState, SandboxView
from foundry.contracts.task import (
    BranchRename,
    Phase,
    PhaseFailure,
    SessionSummary,
    TaskChanged,
    TaskListed,
    TaskSeen,
    TaskState,
    TaskSummary,
    TaskView,
)
from foundry.contracts.task_session import SessionChanged, SessionFailure, SessionStatus, SessionView
from foundry.runtime.store.migrate import engine_of, migrate
from foundry.runtime.store.releases import LAST, LAST_REVISION
from tests.runtime.databases import as_left, got, leases, mail, put
from tests.waiting import eventually

LIMIT = 20.0  # seconds

AT = datetime(2026, 11, 29, tzinfo=UTC)
PERSON = Person(id=UserId("1"), login="ada")
WRONG = PhaseFailure(code="internal", message='It said "trouble": "kept".', remedy="Retry.", attempt=1)
LINE = TaskSummary(
    id=TaskId("tsk_1"), repository=RepositoryRef.of(RepositoryId("1"), OrganizationId("1")),
    title='About {"resting":1}', state=TaskState.FAILED, phase=Phase.CLONING, phase_since=AT, failure=WRONG,
    created_by=PERSON, created_at=AT, changed_at=AT,
)  # fmt: skip
VIEW = TaskView(
    **{name: getattr(LINE, name) for name in TaskSummary.model_fields}, prompt="", base="main", sandbox_stopped=True,
    checkpoint_failure=WRONG, retained="It has work.",
    rename=BranchRename(old="a", new="b", step="pushing", failure=WRONG),
    sessions=[SessionSummary(id=SessionId("ses_1"), agent="mock", status="idle", failure=WRONG)],
)  # fmt: skip
SESSION = SessionView(
    id=SessionId("ses_1"), task=TaskId("tsk_1"), repository=LINE.repository, agent="mock",
    status=SessionStatus.ERROR, status_since=AT, created_at=AT,
    failure=SessionFailure(code="internal", message="It broke.", remedy="Retry.", at=AT), sandbox_stopped=True,
)  # fmt: skip
SANDBOX = SandboxView(
    id=SandboxId("sbx_1"), task=TaskId("tsk_1"), provider="local", state=SandboxState.RETAINED, state_since=AT
)
PROBLEM = Failure(kind=IssueKind.OVERDUE, actor="Mailbox:1", scope=APP, fingerprint="overdue", message="It waits.")
ISSUE = IssueView(id="iss_1", failure=PROBLEM, first_at=AT, last_at=AT, times=1)

STORED: dict[str, tuple[str, str, Model]] = {  # table and column, and what 0.2 has put there
    "a list's line, organization": ("organization_tasks", "summary", LINE),
    "a list's line, repository": ("repository_tasks", "summary", LINE),
    "an issue of the server": ("app_issues", "trouble", PROBLEM),
    "an issue of an organization": ("organization_issues", "trouble", PROBLEM),
    "an event, task": ("events", "body", TaskChanged(task=VIEW)),
    "an event, line": ("events", "body", TaskListed(task=LINE)),
    "an event, session": ("events", "body", SessionChanged(session=SESSION)),
    "an event, sandbox": ("events", "body", SandboxChanged(sandbox=SANDBOX)),
    "an event, issues": ("events", "body", IssuesChanged(issues=[ISSUE])),
    "a message, task": ("mailbox", "body", TaskSeen(task=LINE)),
    "a message, failure": ("mailbox", "body", FailureRaised(failure=PROBLEM)),
    "an answer, task": ("asks", "answer", VIEW),
    "an answer, session": ("asks", "answer", SESSION),
}


def of_release_0_2(value: Model) -> str:
    """Its JSON as 0.2 wrote it."""
    former = {
        "failure": "trouble", "checkpoint_failure": "save_trouble", "retained": "kept", "sandbox_stopped": "resting",
    }  # fmt: skip

    def renamed(found: object, key: str = "") -> object:
        if isinstance(found, dict):
            return {former.get(name, name): renamed(inner, name) for name, inner in found.items()}
        if isinstance(found, list):
            return [renamed(inner, key) for inner in found]
        return {("kind", "overdue"): "late", ("state", "retained"): "kept"}.get((key, str(found)), found)

    return json.dumps(renamed(json.loads(value.model_dump_json())), separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("what", STORED)
def test_what_0_2_stored_is_read_under_the_names_of_today(store_url: str, what: str) -> None:
    """And is, letter by letter, what this release would have written."""
    table, column, value = STORED[what]
    old = of_release_0_2(value)
    assert old != value.model_dump_json()
    as_left(store_url, LAST_REVISION)
    row: dict[str, object] = {column: old}
    if table in ("events", "mailbox"):
        row["word"] = type(value).__name__
    put(store_url, table, [row])
    assert migrate(store_url)
    assert got(store_url, f"SELECT {column} FROM {table}") == [(value.model_dump_json(),)]
    assert type(value).model_validate_json(value.model_dump_json()) == value


def test_what_people_and_agents_said_keeps_its_words(store_url: str) -> None:
    entry = '{"entry":{"kind":"tool","data":{"trouble":1,"kept":2,"kind":"late"}}}'
    as_left(store_url, LAST_REVISION)
    put(store_url, "events", [{"word": "EntryChanged", "body": entry}])
    put(store_url, "session_messages", [{"text": '{"trouble":1}'}])
    assert migrate(store_url)
    assert got(store_url, "SELECT body FROM events") == [(entry,)]
    assert got(store_url, "SELECT text FROM session_messages") == [('{"trouble":1}',)]


def test_messages_that_wait_have_the_names_of_today_except_those_that_0_3_goes_on_sending(store_url: str) -> None:
    """The one that only 0.1 read goes."""
    words = ["TroubleRaised", "TroubleEnded", "TroublesOver", "SessionReady", "Follow", "Unfollow", "TaskSeen"]
    as_left(store_url, LAST_REVISION, *(mail(number, word) for number, word in enumerate(words, 1)))
    assert migrate(store_url)
    found = got(store_url, "SELECT word FROM mailbox ORDER BY id")
    assert found == [(w,) for w in ("FailureRaised", "FailureEnded", "FailuresOver", "Follow", "Unfollow", "TaskSeen")]


def test_many_rows_are_renamed_in_batches(store_url: str) -> None:
    as_left(store_url, LAST_REVISION)
    body = of_release_0_2(TaskChanged(task=VIEW))
    put(store_url, "events", [{"word": "TaskChanged", "version": n, "body": body} for n in range(1, 1001)])
    assert migrate(store_url)
    assert got(store_url, "SELECT DISTINCT body FROM events") == [(TaskChanged(task=VIEW).model_dump_json(),)]
    assert got(store_url, "SELECT count(*) FROM events") == [(1000,)]


async def test_a_row_that_a_server_of_the_last_release_is_writing_is_renamed_when_it_is_free(postgres_url: str) -> None:
    """What it writes meanwhile is not lost, and the other rows do not wait."""
    as_left(postgres_url, LAST_REVISION, *leases(LAST))
    lines = [{"organization": "1", "task": f"tsk_{n}", "summary": of_release_0_2(LINE)} for n in (1, 2)]
    put(postgres_url, "organization_tasks", lines)
    new = LINE.model_copy(update={"title": "Renamed meanwhile"}).model_dump_json()
    engine = engine_of(postgres_url)
    with ThreadPoolExecutor() as threads, engine.connect() as turn:
        turn.execute(text("UPDATE organization_tasks SET summary = :new WHERE task = 'tsk_1'"), {"new": new})
        migration = threads.submit(migrate, postgres_url)
        others = "SELECT count(*) FROM organization_tasks WHERE task = 'tsk_2' AND summary LIKE '%\"failure\":%'"
        await eventually(lambda: got(postgres_url, others) == [(1,)], limit=LIMIT)
        assert not migration.done()
        turn.commit()
        assert migration.result(LIMIT)
    engine.dispose()
    found = got(postgres_url, "SELECT summary FROM organization_tasks ORDER BY task")
    assert found == [(new,), (LINE.model_dump_json(),)]


def test_a_row_that_is_never_free_fails_the_start_and_the_next_one_goes_on(postgres_url: str) -> None:
    as_left(postgres_url, LAST_REVISION, mail(1, "TroubleEnded"), mail(2, "TroublesOver"), mail(3, "TroubleEnded"))
    engine = engine_of(postgres_url)
    with engine.connect() as turn:
        turn.execute(text("SELECT id FROM mailbox WHERE id = 1 FOR UPDATE"))
        with pytest.raises(OperationalError, match="lock timeout"):
            migrate(postgres_url)
    engine.dispose()
    words = "SELECT word FROM mailbox ORDER BY id"
    assert got(postgres_url, words) == [("TroubleEnded",), ("TroublesOver",), ("FailureEnded",)]
    assert migrate(postgres_url)
    assert got(postgres_url, words) == [("FailureEnded",), ("FailuresOver",), ("FailureEnded",)]
