"""Operations: what a task can have under way besides its agents, in ONE table.

Refusals (409 and their sentences), who gets the work tree, the idle stop, the time limits and docs/states.md derive
from it. A new operation is one row here, one workflow in `actors/task/workflows/` and its template.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from foundry.contracts.overdue import Action
from foundry.contracts.task import TaskState


class Kind(StrEnum):
    """An operation; its value is the name of its workflow."""

    PROVISION = "provision"
    RECOVERY = "recovery"
    GIT_STATUS = "git_status"
    CHECKPOINT = "checkpoint"
    RESTORE = "restore"
    PUBLISH = "publish"
    FETCH = "fetch"
    RENAME = "rename"
    IDLE_STOP = "idle_stop"
    RELEASE = "release"


class Holds(StrEnum):
    """Whether prompts wait for it, because it writes the work tree (R6)."""

    NEVER = "never"
    ALWAYS = "always"  # from its start to its end
    LATE = "late"  # from the turn in which it asks for the work tree


class Again(StrEnum):
    """What becomes of a second request while it runs."""

    GOES_ON = "goes on"  # the one that runs is what was asked for
    QUEUES = "queues"  # one more follows it
    STARTS = "starts"  # both run
    REFUSED = "refused"


@dataclass(frozen=True)
class Operation:
    """One row.

    Args:
        title: its name in the time limits and on pages.
        doing: why something else is refused, e.g. "the branch is being published".
        needs: the task's state.
        excludes: operations that it does not run beside, whichever of the two comes second.
        supersedes: operations that it cancels when it starts, because it does what they were for.
        beside_prompt: may start while an agent has the work tree.
        holds: whether it has the work tree.
        uses_sandbox: it cancels an idle stop, and waits for one that has begun to stop.
        yields: everything else that uses the sandbox cancels it.
        ends_with_sandbox: it is cancelled when the sandbox is lost or the task is archived.
        again: what a second request does.
        may_last: seconds until it is overdue; None: its phases have limits of their own.
        overdue: what is said then.
        remedy: what a person can do then.
        offers: the actions that a failed or overdue one offers.
        asked_again: what to call it where a lost sandbox has ended it and a person has to ask again; empty: nobody has.
    """

    title: str
    doing: str
    needs: TaskState = TaskState.READY
    excludes: frozenset[Kind] = frozenset()
    supersedes: frozenset[Kind] = frozenset()
    beside_prompt: bool = True
    holds: Holds = Holds.NEVER
    uses_sandbox: bool = True
    yields: bool = False
    ends_with_sandbox: bool = True
    again: Again = Again.GOES_ON
    may_last: int | None = 300
    overdue: str = ""
    remedy: str = "Retry starts it again."
    offers: tuple[Action, ...] = (Action.RETRY,)
    asked_again: str = ""


OPERATIONS: dict[Kind, Operation] = {
    Kind.PROVISION: Operation(
        title="provisioning",
        doing="the sandbox is being provisioned",
        needs=TaskState.PROVISIONING,
        uses_sandbox=False,
        may_last=None,
        offers=(Action.RETRY, Action.ARCHIVE),
    ),
    Kind.RECOVERY: Operation(
        title="recovering the sandbox",
        doing="a new sandbox is being made for the lost one",
        excludes=frozenset({Kind.RENAME}),
        uses_sandbox=False,
        may_last=None,
        offers=(Action.RETRY, Action.ARCHIVE),
    ),
    Kind.GIT_STATUS: Operation(
        title="reading the work tree",
        doing="the work tree is being read",
        again=Again.STARTS,
        overdue="Reading the work tree takes too long.",
    ),
    Kind.CHECKPOINT: Operation(
        title="saving a checkpoint",
        doing="a checkpoint is being saved",
        excludes=frozenset({Kind.RESTORE}),
        again=Again.QUEUES,
        overdue="Saving the checkpoint takes too long.",
    ),
    Kind.RESTORE: Operation(
        title="restoring a checkpoint",
        doing="a checkpoint is being restored",
        excludes=frozenset({Kind.PUBLISH, Kind.FETCH, Kind.RENAME}),
        supersedes=frozenset({Kind.CHECKPOINT}),  # it saves first
        beside_prompt=False,
        holds=Holds.ALWAYS,
        again=Again.REFUSED,
        overdue="Restoring the checkpoint takes too long.",
        asked_again="Restoring a checkpoint",
    ),
    Kind.PUBLISH: Operation(
        title="publishing",
        doing="the branch is being published",
        excludes=frozenset({Kind.RENAME}),
        overdue="Pushing the branch and opening the pull request takes too long.",
        asked_again="Publishing",
    ),
    Kind.FETCH: Operation(
        title="fetching from GitHub",
        doing="commits are being fetched from GitHub",
        excludes=frozenset({Kind.RENAME}),
        holds=Holds.LATE,
        overdue="Fetching from GitHub takes too long.",
    ),
    Kind.RENAME: Operation(
        title="renaming the branch",
        doing="the branch is being renamed",
        beside_prompt=False,
        holds=Holds.ALWAYS,
        ends_with_sandbox=False,
        may_last=180,
        overdue="Renaming the branch takes too long.",
        remedy="Retry continues it.",
    ),
    Kind.IDLE_STOP: Operation(
        title="stopping the sandbox",
        doing="the sandbox is being stopped because nobody uses it",
        beside_prompt=False,
        holds=Holds.LATE,
        yields=True,
        overdue="Stopping the unused sandbox takes too long.",
    ),
    Kind.RELEASE: Operation(
        title="releasing the sandbox",
        doing="the sandbox is being released",
        needs=TaskState.ARCHIVED,
        uses_sandbox=False,  # nothing else does in an archived task
        ends_with_sandbox=False,
        may_last=600,
        overdue="Releasing the sandbox takes too long.",
        remedy="Retry, or discard what is in it.",
        offers=(Action.RETRY, Action.DISCARD),
    ),
}


def excluded(one: Kind, other: Kind) -> bool:
    """Whether these two may not run beside each other."""
    return other in OPERATIONS[one].excludes or one in OPERATIONS[other].excludes
