"""What lasts longer than it should, as it is shown, and what a person can do about it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from foundry.contracts.messages import Model


class Action(StrEnum):
    """What a person can do; each is a button of the page and a route of the API."""

    RETRY = "retry"  # begin anew what hangs
    RESTART_AGENT = "resume"  # end the agent's process and start it again, in the same sandbox
    STOP = "stop"  # end the running prompt
    RESEND = "resend"  # give the message to the agent again
    ANSWER = "answer"  # choose one of the options that the agent offers
    ARCHIVE = "archive"  # end the task
    DISCARD = "discard"  # give the sandbox back without saving what is in it


class Overdue(Model):
    what: str  # a row of the watchdog's table
    since: datetime  # when it began
    reason: str
    remedy: str
    actions: list[Action]


class TimeLimit(NamedTuple):
    """One state that should pass."""

    may_last: int  # seconds
    reason: str
    remedy: str
    actions: tuple[Action, ...]
