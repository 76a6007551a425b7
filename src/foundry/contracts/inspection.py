"""What the runtime holds at one moment, for whoever runs the server. Ages are seconds; lists say when they are cut."""

from __future__ import annotations

from datetime import datetime

from foundry.contracts.ids import SandboxId, TaskId
from foundry.contracts.messages import Model
from foundry.contracts.sandbox_instance import OrphanView, SandboxState
from foundry.contracts.sandbox_provider import Room


class KindCount(Model):
    """How many actors there are of one kind."""

    kind: str
    alive: int
    ended: int


class MailboxSeen(Model):
    """One actor's messages that are not applied yet."""

    receiver: str
    waiting: int
    set_aside: int
    oldest: float  # age of the oldest one that waits; 0 if none does


class LetterSetAside(Model):
    """A message whose turn kept failing; its runtime issue retries or drops it."""

    id: int
    receiver: str
    sender: str
    word: str
    tries: int
    at: datetime
    error: str  # its first line


class StepSeen(Model):
    """A step that is recorded: it does not run again."""

    name: str
    seconds: float | None  # how long it took, its repeats included; not known for those of older servers


class WorkflowSeen(Model):
    """A workflow that has not ended."""

    id: str
    name: str
    owner: str
    scope: str
    age: float
    status: str  # DBOS's word; "" if DBOS does not know it yet
    executor: str  # the replica that has it; "" before it was handed over
    generation: int
    crashes: int
    cancelled: bool
    steps: list[StepSeen]


class LeaseSeen(Model):
    """Which replica follows what. One that has expired is free."""

    name: str
    holder: str
    fencing: int
    left: float  # negative: it has expired


class ScheduleSeen(Model):
    """Something an actor wants to be told."""

    actor: str
    name: str
    due_in: float  # negative: late by so much
    tries: int  # that failed in a row
    error: str


class BlobsSeen(Model):
    """What is stored of one kind of bytes, checkpoints for instance."""

    kind: str
    count: int
    size: int  # bytes


class SandboxSeen(Model):
    """One sandbox and what it takes."""

    id: SandboxId
    task: TaskId
    state: SandboxState
    disk: int | None  # bytes, as last measured
    remove_at: datetime | None


class DiskUse(Model):
    """What sandboxes take, and what is left."""

    used: int  # bytes, of all sandboxes that were measured, orphans included
    room: Room | None = None  # of the file system they lie on, now; none: its provider cannot tell
    sandboxes: list[SandboxSeen] = []  # that exist; the biggest first
    orphans: list[OrphanView] = []  # the biggest first


class Inspection(Model):
    """All of it, seen in one snapshot (the workflows' steps a moment later)."""

    at: datetime
    executor: str  # the replica that answered
    stuck: str = ""  # what hangs in it, as /healthz says; "" if nothing does
    actors: list[KindCount]
    mailboxes: list[MailboxSeen]
    set_aside: list[LetterSetAside]
    workflows: list[WorkflowSeen]
    leases: list[LeaseSeen]
    schedules: list[ScheduleSeen]  # the earliest first
    blobs: list[BlobsSeen]
    disk: DiskUse | None = None
    cut: list[str]  # the lists that are longer than what is shown
