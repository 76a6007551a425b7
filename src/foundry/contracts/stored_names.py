"""Names as release 0.2 stored them, where this release calls the thing something else. Goes with release 0.4.

What is written has today's names, which 0.2 reads too, but for `SENT`. Columns alone keep their stored names, by
`Column("trouble", key="failure")`: two releases that run beside each other need the same ones.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

WORKFLOWS = {
    "inspect": "git_status",
    "rest": "idle_stop",
}
STEPS = {  # today's name -> as a workflow that 0.2 began has recorded it
    "stopping the agents": "going to rest",
    "switching to the new branch": "following the branch",
}
MESSAGES = {
    "Follow": "ReadStream",
    "Unfollow": "StopReading",
    "TroubleRaised": "FailureRaised",
    "TroubleEnded": "FailureEnded",
    "TroublesOver": "FailuresOver",
}
SENT = {"ReadStream": "Follow", "StopReading": "Unfollow"}  # written as 0.2 knows them: it does not read the new ones
NOT_READ = {"SessionReady"}  # messages that 0.2 sends for 0.1
FIELDS = {  # of messages, events, answers and views: today's name -> the stored one
    "failure": "trouble",
    "checkpoint_failure": "save_trouble",
    "retained": "kept",
    "sandbox_stopped": "resting",
    "orphans": "strays",
}
VALUES = {  # of enums
    "kept": "retained",
    "late": "overdue",
}


class StoredEnum(StrEnum):
    """An enum whose values are also read under the names that release 0.2 stored."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        now = VALUES.get(str(value))
        return cls(now) if now else None


def current_workflow(stored: str) -> str:
    return WORKFLOWS.get(stored, stored)


def current_message(stored: str) -> str:
    return MESSAGES.get(stored, stored)


def stored_message(name: str) -> str:
    return SENT.get(name, name)


def recorded_step(step: str, release: str | None) -> str:
    """A step's name in the record of a workflow that this release began."""
    return STEPS.get(step, step) if release == "0.2" else step
