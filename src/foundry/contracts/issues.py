"""Runtime issues: what went wrong in long work or in a mailbox, where, and what happens next (R18-R20)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from foundry.contracts.ids import WorkflowId
from foundry.contracts.messages import Command, Message, Model, ScopeId


class IssueKind(StrEnum):
    STEP_RETRYING = "step_retrying"  # an attempt failed; another follows by itself
    WORKFLOW_FAILED = "workflow_failed"  # no further attempt by itself
    MESSAGE_SET_ASIDE = "message_set_aside"  # a mailbox message failed five times
    SCHEDULE_FAILING = "schedule_failing"  # the turn at a due time keeps failing; it is tried again by itself
    OVERDUE = "overdue"  # messages or schedules wait though their time has come
    WORKFLOW_CRASHED = "workflow_crashed"  # the process died in it too often
    WORKFLOW_LOST = "workflow_lost"  # ended in DBOS without telling us
    SANDBOXES_MISSING = "sandboxes_missing"  # the provider has none of those that are recorded
    SANDBOX_UNKNOWN = "sandbox_unknown"  # the provider has some that nobody uses
    DISK_LOW = "disk_low"  # little room is left where the sandboxes lie


class Failure(Model):
    """One failure, normalised."""

    kind: IssueKind
    actor: str  # the address of the actor whose work failed
    scope: ScopeId
    fingerprint: str  # the same failure again updates its issue instead of adding one
    workflow: str = ""  # its name, e.g. `provision`
    workflow_id: WorkflowId | None = None
    step: str = ""
    attempt: int = 1
    retry_at: datetime | None = None  # absent: it will not be tried again by itself
    code: str = "internal"
    message: str = ""
    remedy: str = ""
    mailbox_id: int | None = None  # for a message set aside: the row that `retry` and `drop` name


class FailureRaised(Message):
    """To the scope's coordinator: record this failure."""

    failure: Failure


class FailureEnded(Message):
    """To the scope's coordinator: what this fingerprint reported works again."""

    fingerprint: str


class FailuresOver(Message):
    """To the scope's coordinator: whatever these actors reported with this code is over, with what caused it."""

    actors: list[str]  # addresses
    code: str


class RecordFailure(Command[None]):
    """The same as `FailureRaised`, asked by a workflow step."""

    failure: Failure


class KeepFailure(Command[None]):
    """The same, by who sees it again and again: recorded anew only where it is not, or has changed."""

    failure: Failure


class EndFailure(Command[None]):
    """The same as `FailureEnded`, asked by a workflow step."""

    fingerprint: str


class AttemptFailed(Command[None]):
    """To a workflow's owner: an attempt of a step failed; another follows at `failure.retry_at`."""

    failure: Failure


class WorkflowRecovered(Command[None]):
    """To a workflow's owner: the step whose attempt failed is done; what was shown of its failed attempts is over."""

    workflow: str
    workflow_id: WorkflowId


class Outcome(StrEnum):
    """How a workflow ended."""

    DONE = "done"
    FAILED = "failed"  # a step's last attempt failed, or its own code did
    LOST = "lost"  # it ended in DBOS without telling us, crashed too often, or no version here can go on with it
    CANCELLED = "cancelled"  # by its owner; nothing of it runs any more


class WorkflowEnded(Message):
    """To a workflow's owner, in the transaction that deletes the workflow's row: nothing of it runs any more."""

    workflow: str
    workflow_id: WorkflowId
    outcome: Outcome
    failure: Failure | None = None  # why it failed or was lost
