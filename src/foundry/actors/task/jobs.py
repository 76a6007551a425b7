"""The jobs of the task's workflows."""

from __future__ import annotations

from datetime import datetime

from foundry.contracts.ids import CheckpointId, SandboxId, TaskId
from foundry.contracts.messages import Model
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task_checkpoints import Saved


class OfTask(Model):
    """To provision its sandbox, or rename its branch: the workflow reads the rest itself."""

    task: TaskId


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


class IdleStop(Model):
    """Stop a sandbox that nobody uses, once its work is saved."""

    save: Save


class Release(Model):
    save: Save
    discard: bool
    remove_at: datetime | None = None  # stop it only: it is removed then
