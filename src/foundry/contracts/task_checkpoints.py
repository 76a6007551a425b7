"""Checkpoints: what a sandbox's work tree held at a moment, kept in Foundry's own store: it outlives the sandbox.

A checkpoint holds every commit that the base does not have, on every local branch and in the stash, and the work tree
as it was, with what is not committed and the untracked files that git does not ignore.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import CheckpointId, MessageId, SessionId, TaskId
from foundry.contracts.messages import Model

BUNDLE_LIMIT = 64 * 1024 * 1024  # bytes of one checkpoint's bundle


LEFT_OUT_LIMIT = 20  # paths that are named


class CheckpointTooLarge(FoundryError, code="checkpoint_too_large", status=413):
    """The work is too large for a checkpoint (64 MiB). Nothing was deleted."""

    remedy = "Push the important commits and remove or ignore large files. Then try again, or discard the work."


class CheckpointMissing(FoundryError, code="checkpoint_missing", status=404):
    """The checkpoint does not exist, or its content was removed."""

    remedy = "Choose a checkpoint from the task's list."


class CheckpointUnfit(FoundryError, code="checkpoint_unfit", status=409):
    """The repository no longer has the commit that the checkpoint is based on."""

    remedy = "Download the checkpoint's patch and apply it by hand."


class CheckpointReason(StrEnum):
    """Why it was made."""

    TURN = "turn"  # the agent's turn ended
    ASKED = "asked"  # a person wished it
    RESTORE = "restore"  # before another one was restored
    RELEASE = "release"  # before the sandbox was given back
    IDLE = "idle"  # before the sandbox was stopped


class CheckpointRef(Model):
    """A checkpoint, of whichever task."""

    task: TaskId
    id: CheckpointId


class Saved(Model):
    """What a save found, and where it put it. With the fingerprint of the checkpoint before, nothing was stored."""

    fingerprint: str  # of all that is saved; the same work has the same
    branch: str = ""  # that was checked out; empty: none was
    head: str = ""  # commit
    work: str = ""  # commit that holds the whole work tree; its parent is the head
    base: str = ""  # commit that has to be there to restore it
    commits: int = 0  # of the head that the base has not
    changed: int = 0  # files that were not committed
    insertions: int = 0  # lines against the base, committed and not
    deletions: int = 0
    size: int = 0  # bytes of the bundle
    left_out: list[str] = []  # paths that could not be saved, such as repositories inside the repository


class CheckpointView(Model):
    """A checkpoint as the task lists it."""

    id: CheckpointId
    number: int  # 1 is the task's first
    reason: CheckpointReason
    session: SessionId | None = None
    message: MessageId | None = None  # that it followed
    saved: Saved
    at: datetime


def checkpoint_prefix(task: TaskId) -> str:
    """Where the content of the task's checkpoints is kept."""
    return f"checkpoint/{task}/"


def checkpoint_key(task: TaskId, checkpoint: CheckpointId) -> str:
    """Where the content of one is kept."""
    return checkpoint_prefix(task) + checkpoint
