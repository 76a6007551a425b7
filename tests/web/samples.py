"""Sample models for the pages: what people would meet, good days and bad."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from foundry.api.account import CreatedToken
from foundry.api.settings import Budget, GitHubView, SettingsView
from foundry.contracts.app_shell import ApiTokenView, AppSessionView, DeviceLoginView, Scope
from foundry.contracts.github_access import Role
from foundry.contracts.github_state import GitHubStateView
from foundry.contracts.history import HistoryView
from foundry.contracts.ids import (
    MessageId,
    OrganizationId,
    PermissionId,
    RepositoryId,
    SandboxId,
    SessionId,
    TaskId,
    UserId,
    new_id,
)
from foundry.contracts.issues import Failure, IssueKind
from foundry.contracts.messages import ScopeId
from foundry.contracts.organization import IssueView, OrganizationView
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import SandboxState, SandboxView
from foundry.contracts.task import (
    ArchiveReason,
    Phase,
    PhaseFailure,
    PullRequestRef,
    SessionSummary,
    TaskState,
    TaskSummary,
    TaskView,
    WorkTree,
)
from foundry.contracts.task_session import (
    Entry,
    EntryKind,
    MessageState,
    PermissionOption,
    PermissionState,
    PermissionView,
    QueuedMessage,
    SessionFailure,
    SessionStatus,
    SessionView,
)

NOW = datetime(2026, 3, 4, 9, 30, tzinfo=UTC)


def ago(**spans: float) -> datetime:
    return NOW - timedelta(**spans)


def made(prefix: str, number: int) -> str:
    return new_id(prefix, now_ms=number, entropy=number.to_bytes(10, "big"))


ADA = Person(id=UserId("101"), login="ada", name="Ada Byron")
GRACE = Person(id=UserId("102"), login="grace-h", name="Grace Hopper")
ORGANIZATION = OrganizationView(id=OrganizationId("900"), login="harbour-works", name="Harbour Works")
OTHER = OrganizationView(id=OrganizationId("901"), login="ada")
REPOSITORY = RepositoryRef(
    id=RepositoryId("700"),
    organization=ORGANIZATION.id,
    owner="harbour-works",
    name="tide-table",
    html_url="https://github.example/harbour-works/tide-table",
)
SITE = REPOSITORY.model_copy(update={"id": RepositoryId("701"), "name": "website"})

DIFF = """diff --git a/tides/table.py b/tides/table.py
index 3f1c..9a77 100644
--- a/tides/table.py
+++ b/tides/table.py
@@ -12,7 +12,9 @@ def rows(station: Station, day: date) -> list[Row]:
     \"\"\"High and low water of one day, in the station's own time.\"\"\"
     found = predict(station, day)
-    return [Row(t, h) for t, h in found]
+    if not found:
+        raise NoPrediction(station, day)
+    return [Row(t.astimezone(station.zone), h) for t, h in found]
 
 
 def heading(day: date) -> str:
diff --git a/tests/test_table.py b/tests/test_table.py
new file mode 100644
--- /dev/null
+++ b/tests/test_table.py
@@ -0,0 +1,4 @@
+def test_times_are_local():
+    row = rows(LISBON, date(2026, 7, 1))[0]
+    assert row.time.tzinfo == LISBON.zone
+    assert "<script>" not in str(row)
"""

ANSWER = """The predictions were computed in UTC and never converted. I changed `rows()` so that it

1. refuses a day **without** predictions, and
2. shows each time in the station's own zone.

```python
def rows(station: Station, day: date) -> list[Row]:
    found = predict(station, day)
    if not found:
        raise NoPrediction(station, day)  # says which
```

All 14 tests pass. See [the tz docs](https://docs.python.org/3/library/zoneinfo.html)."""


def failure(**changes: Any) -> PhaseFailure:
    values: dict[str, Any] = {
        "code": "git_failed",
        "message": "git clone: could not resolve host github.example",
        "remedy": "Read git's message. If GitHub or the network was unavailable, retry.",
        "attempt": 3,
    }
    return PhaseFailure(**{**values, **changes})


def task(**changes: Any) -> TaskView:
    values: dict[str, Any] = {
        "id": TaskId(made("tsk", 1)),
        "repository": REPOSITORY,
        "title": "Show tide times in the station's own time zone",
        "branch": "tide-times-local-zone",
        "state": TaskState.READY,
        "phase": Phase.RUNNING,
        "phase_since": ago(minutes=4),
        "activity": "running",
        "created_by": ADA,
        "created_at": ago(minutes=5),
        "changed_at": ago(seconds=20),
        "prompt": "Times in the table are UTC. Show them in the station's own time zone, and add a test.",
        "base": "main",
        "sandbox": SandboxId(made("sbx", 1)),
        "active_session": SessionId(made("ses", 1)),
        "sessions": [
            SessionSummary(id=SessionId(made("ses", 1)), title="Local tide times", agent="mock", status="running")
        ],
        "work": WorkTree(
            head="9a77c0ffee9a77c0ffee",
            commits_ahead=2,
            unpushed=1,
            changed_files=["tides/zones.py"],
            insertions=7,
            deletions=1,
            diff=DIFF,
            seen_at=ago(seconds=20),
        ),
    }
    return TaskView(**{**values, **changes})


def line(number: int, **changes: Any) -> TaskSummary:
    full = task(id=TaskId(made("tsk", number)), **changes)
    return TaskSummary(**{name: getattr(full, name) for name in TaskSummary.model_fields})


def tasks() -> list[TaskSummary]:
    return [
        line(
            8,
            title="Add a dark theme to the opening-hours page",
            repository=SITE,
            branch=None,
            state=TaskState.PROVISIONING,
            phase=Phase.WAITING_FOR_HEALTH,
            phase_since=ago(seconds=3),
            activity="pending",
            created_at=ago(seconds=9),
            created_by=GRACE,
        ),
        line(7),
        line(
            6,
            title="Cache predictions for a day",
            branch="cache-predictions",
            state=TaskState.FAILED,
            phase=Phase.CLONING,
            phase_since=ago(minutes=11),
            failure=failure(),
            activity="pending",
            created_at=ago(minutes=12),
        ),
        line(
            5,
            title="Retry the harbour API when it is away for a moment",
            branch="retry-harbour-api",
            activity="idle",
            pull_request=PullRequestRef(number=41, state="open", url="https://github.example/pull/41"),
            created_by=GRACE,
            created_at=ago(hours=3),
        ),
        line(
            4,
            title="Explain the datum in the footer",
            repository=SITE,
            branch="explain-datum",
            activity="idle",
            pull_request=PullRequestRef(number=12, state="closed", url="https://github.example/pull/12"),
            created_at=ago(days=2),
        ),
    ]


def entry(number: int, what: EntryKind, words: str = "", done: bool = True, /, **data: Any) -> Entry:
    at = ago(seconds=300 - number * 10)
    return Entry(id=made("ent", number), position=number, kind=what, text=words, complete=done, data=data, at=at)


def transcript() -> list[Entry]:
    output = "..............                                            [100%]\n14 passed in 0.31s\n"
    old, new = "return [Row(t, h) for t, h in found]\n", "return [Row(t.astimezone(zone), h) for t, h in found]\n"
    return [
        entry(1, EntryKind.USER, task().prompt, message=made("msg", 1), login="ada", name="Ada Byron"),
        entry(2, EntryKind.THOUGHT, "First find where the times come from, then see **why** they stay in UTC."),
        entry(
            3,
            EntryKind.PLAN,
            entries=[
                {"content": "Find where times are made", "status": "completed"},
                {"content": "Convert them to the station's zone", "status": "in_progress"},
                {"content": "Add a test", "status": "pending"},
            ],
        ),
        entry(
            4,
            EntryKind.TOOL,
            "Read tides/table.py",
            id="call_1",
            title="Read tides/table.py",
            kind="read",
            status="completed",
            locations=[{"path": "tides/table.py"}],
            content=[{"type": "content", "content": {"type": "text", "text": "def rows(station, day): ..."}}],
        ),
        entry(
            5,
            EntryKind.TOOL,
            "Edit tides/table.py",
            id="call_2",
            title="Edit tides/table.py",
            kind="edit",
            status="completed",
            content=[{"type": "diff", "path": "tides/table.py", "oldText": old, "newText": new}],
        ),
        entry(
            6,
            EntryKind.TOOL,
            "Run the tests",
            id="call_3",
            title="python -m pytest -q",
            kind="execute",
            status="failed",
            input={"command": "python -m pytest -q"},
            output={"exitCode": 1},
            content=[{"type": "content", "content": {"type": "text", "text": output}}],
        ),
        entry(7, EntryKind.AGENT, ANSWER),
        entry(8, EntryKind.STOP, "end_turn", message=made("msg", 1), state="done"),
        entry(9, EntryKind.GAP, events=12),
        entry(
            10, EntryKind.NOTE, "The agent's process ended with code 1. Foundry is starting the agent again by itself."
        ),
        entry(
            11, EntryKind.USER, "Please commit it too.", message=made("msg", 2), login="grace-h", name="Grace Hopper"
        ),
        entry(
            12,
            EntryKind.PERMISSION,
            "Commit the change",
            False,
            permission=made("prm", 1),
            detail="git commit -am 'Show tide times in local time'",
            state="waiting",
            options=[
                {"id": "allow", "name": "Allow", "kind": "allow_once"},
                {"id": "always", "name": "Always allow", "kind": "allow_always"},
                {"id": "reject", "name": "Reject", "kind": "reject_once"},
            ],
        ),
        entry(13, EntryKind.AGENT, "I will commit as soon as you", False),
    ]


def session(**changes: Any) -> SessionView:
    values: dict[str, Any] = {
        "id": SessionId(made("ses", 1)),
        "task": task().id,
        "repository": REPOSITORY,
        "title": "Local tide times",
        "agent": "mock",
        "status": SessionStatus.RUNNING,
        "status_since": ago(seconds=42),
        "usage": {"used": 12_400, "size": 200_000},
        "created_at": ago(minutes=5),
    }
    return SessionView(**{**values, **changes})


def queued(
    number: int, state: MessageState, text: str = "And mention it in the changelog.", outcome: str = ""
) -> QueuedMessage:
    return QueuedMessage(
        id=MessageId(made("msg", number)), text=text, person=GRACE, state=state, at=ago(seconds=8), outcome=outcome
    )


def permission() -> PermissionView:
    return PermissionView(
        id=PermissionId(made("prm", 1)),
        title="Commit the change",
        options=[PermissionOption(id="allow", name="Allow", kind="allow_once")],
        state=PermissionState.WAITING,
        at=NOW,
    )


def session_failure() -> SessionFailure:
    return SessionFailure(
        code="acp_server_gone",
        message="The agent's process ended with code 1.",
        remedy="Resume the session.",
        actions=["resume"],
        at=NOW,
    )


def sandbox(**changes: Any) -> SandboxView:
    values: dict[str, Any] = {
        "id": SandboxId(made("sbx", 1)),
        "task": task().id,
        "provider": "local",
        "state": SandboxState.RUNNING,
        "state_since": ago(minutes=4),
        "warning": "bubblewrap does not work on this machine: the agent runs as a plain process of this user.",
        "log": "INFO sandbox-agent listening on 127.0.0.1:40123\n",
        "disk": 120_400_000,
    }
    return SandboxView(**{**values, **changes})


def issue(number: int, **changes: Any) -> IssueView:
    values: dict[str, Any] = {
        "kind": IssueKind.WORKFLOW_FAILED,
        "actor": f"Task:{made('tsk', 6)}",
        "scope": ScopeId(ORGANIZATION.id),
        "fingerprint": f"f{number}",
        "workflow": "provision",
        "step": "cloning",
        "attempt": 3,
        "code": "git_failed",
        "message": "git clone: could not resolve host github.example",
        "remedy": "Read git's message. If GitHub or the network was unavailable, retry.",
    }
    raised = Failure(**{**values, **changes})
    return IssueView(
        id=made("iss", number), failure=raised, first_at=ago(minutes=20), last_at=ago(minutes=2), times=number
    )


def issues() -> list[IssueView]:
    return [
        issue(1),
        issue(
            4, kind=IssueKind.STEP_RETRYING, step="pushing", workflow="publish", retry_at=NOW + timedelta(seconds=40)
        ),
        issue(
            2,
            kind=IssueKind.MESSAGE_SET_ASIDE,
            actor=f"History:{REPOSITORY.id}",
            workflow="",
            step="",
            attempt=5,
            mailbox_id=77,
            code="internal",
            message="HistoryEntry from Repository:700 could not be applied",
            remedy="Retry it after the cause is mended, or drop it.",
        ),
    ]


def history() -> list[HistoryView]:
    return [
        HistoryView(
            number=3, what="pull_request_merged", text="Pull request #40 “Fix the heading” was merged", at=ago(hours=1)
        ),
        HistoryView(
            number=2,
            what="task_created",
            text="Task “Fix the heading” was opened",
            login="ada",
            task=made("tsk", 3),
            at=ago(hours=2),
        ),
    ]


MERGED = line(
    2,
    title="Fix the heading",
    state=TaskState.ARCHIVED,
    archived=ArchiveReason.MERGED,
    pull_request=PullRequestRef(number=40, state="merged", url="https://github.example/pull/40"),
)


def settings(role: Role) -> SettingsView:
    return SettingsView(role=role, may_change=role is Role.OWNER, public_work=role is Role.MEMBER)


def github(*, known: bool = True) -> GitHubView:
    """As it is after some hours, or just after a start whose sync failed."""
    reset = NOW + timedelta(minutes=41)
    budget = Budget(limit=5000, remaining=4211, reset_at=reset, floor=1000) if known else Budget()
    failure = "" if known else "GitHub did not answer in 30 s"
    state = GitHubStateView(organization=ORGANIZATION.id, installation=3001, synced_at=ago(hours=2), failure=failure)
    return GitHubView(state=state, budget=budget)


def app_sessions() -> list[AppSessionView]:
    here = AppSessionView(
        id=made("aps", 1), device="Firefox on Linux", created_at=ago(days=3), used_at=ago(minutes=2),
        address="192.0.2.17", expires_at=NOW + timedelta(days=14), current=True,
    )  # fmt: skip
    other = here.model_copy(update={"id": made("aps", 2), "device": "", "address": "", "current": False})
    return [here, other]


def api_tokens() -> list[ApiTokenView]:
    line = ApiTokenView(
        id=made("tok", 1), name="foundry on ada's laptop", scopes=[Scope.READ, Scope.WRITE], created_at=ago(days=3),
        expires_at=NOW + timedelta(days=87), used_at=ago(hours=1), address="192.0.2.17",
    )  # fmt: skip
    new = ApiTokenView(
        id=made("tok", 2), name="<ci>", scopes=[Scope.READ], created_at=ago(hours=1), expires_at=None, used_at=None,
        address="",
    )  # fmt: skip
    return [new, line]


def created_token() -> CreatedToken:
    return CreatedToken(token="fdy_" + "x" * 43, **api_tokens()[0].model_dump())


def device_login() -> DeviceLoginView:
    return DeviceLoginView(
        device="foundry on <laptop>", scopes=[Scope.READ, Scope.WRITE], address="192.0.2.17", started_at=ago(minutes=1)
    )
