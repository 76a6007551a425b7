"""The jobs of the task's workflows."""

from __future__ import annotations

from datetime import datetime

from foundry.contracts.ids import CheckpointId, SandboxId, TaskId
from foundry.contracts.messages import Model
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import TaskView
from foundry.contracts.task_checkpoints import CheckpointRef, Saved


class Provision(Model):
    task: TaskId


class Beginning(Model):
    """What a sandbox is made from besides GitHub, read when that is due."""

    lost: SandboxId | None = None  # the sandbox before, which the provider no longer has
    source: CheckpointRef | None = None
    saved: Saved | None = None
    branch: str = ""  # to check out; "" before the task has its own
    own: bool = False  # the task's own checkpoint: commits that GitHub has beyond it are kept


class Provisioning(Model):
    """What provisioning needs of its task when it begins."""

    task: TaskView
    lost: SandboxId | None = None  # the sandbox before, which the provider no longer has


class Inspect(Model):
    sandbox: SandboxId
    base: str


class Fetch(Model):
    """Get what GitHub has of the branch and its base."""

    sandbox: SandboxId
    repository: RepositoryRef
    branch: str
    base: str
    known: str | None  # its head as last heard
    by_itself: bool  # nobody waits for it: a sandbox that does not answer is left alone
    forward: bool  # the work tree follows if nothing is in the way


class Publish(Model):
    sandbox: SandboxId
    repository: RepositoryRef
    branch: str
    base: str
    title: str
    body: str
    draft: bool
    by_itself: bool  # after an agent's turn; having nothing new to publish is not a failure then
    person: Person


class Save(Model):
    """A checkpoint to make; `known` is the fingerprint of the one before."""

    task: TaskId
    sandbox: SandboxId
    base: str
    checkpoint: CheckpointId
    known: str


class Restore(Model):
    """A checkpoint to bring back in place; the present work is saved first."""

    before: Save
    checkpoint: CheckpointId
    saved: Saved
    branch: str


class Rename(Model):
    task: TaskId


class IdleStop(Model):
    """Stop a sandbox that nobody uses, once its work is saved."""

    save: Save


class Release(Model):
    save: Save
    discard: bool
    remove_at: datetime | None = None  # stop it only: it is removed then
