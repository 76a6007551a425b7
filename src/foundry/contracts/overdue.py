"""How long each state that should pass may last, what is said when it does not, and what a person can do then."""

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


A = Action


class Row(NamedTuple):
    """One state that should pass."""

    may_last: int  # seconds
    reason: str
    remedy: str
    actions: tuple[Action, ...]


AGAIN = (A.RETRY, A.ARCHIVE)

TABLE: dict[str, Row] = {
    # a task's provisioning, by its phases
    "naming": Row(60, "GitHub has not returned the repository's branches.", "Retry asks GitHub again.", AGAIN),
    "creating sandbox": Row(
        180, "Creating the sandbox takes too long.", "Retry continues with the same sandbox.", AGAIN
    ),
    "starting sandbox-agent": Row(120, "sandbox-agent has not started.", "Read the sandbox's log, then retry.", AGAIN),
    "waiting for health": Row(60, "sandbox-agent does not answer.", "Read the sandbox's log, then retry.", AGAIN),
    "cloning": Row(300, "Cloning the repository takes too long.", "Wait if the repository is large, or retry.", AGAIN),
    "restoring the work": Row(
        300, "Restoring the checkpoint takes too long.", "Retry starts the restore again.", AGAIN
    ),
    "installing agent": Row(300, "Installing the agent takes too long.", "Read the sandbox's log, then retry.", AGAIN),
    "creating session": Row(180, "The agent has not opened its session.", "Retry starts the agent again.", AGAIN),
    # a task's other work
    "publishing": Row(
        300, "Pushing and opening the pull request takes too long.", "Retry starts publishing again.", (A.RETRY,)
    ),
    "renaming the branch": Row(
        180, "The branch is not renamed everywhere yet.", "Retry continues the rename.", (A.RETRY,)
    ),
    "saving the work": Row(300, "The checkpoint is not stored yet.", "Retry starts the save again.", (A.RETRY,)),
    "bringing work back": Row(
        300, "Restoring the checkpoint takes too long.", "Retry starts the restore again.", (A.RETRY,)
    ),
    "getting GitHub's commits": Row(
        300, "Fetching from GitHub takes too long.", "Retry starts the fetch again.", (A.RETRY,)
    ),
    "stopping the sandbox": Row(
        300, "Stopping the idle sandbox takes too long.", "Retry starts the stop again.", (A.RETRY,)
    ),
    "giving the sandbox back": Row(
        600, "The sandbox is not removed yet.", "Retry, or discard the work in it.", (A.RETRY, A.DISCARD)
    ),
    # a session
    "opening the agent": Row(
        180, "The agent has not opened its session.", "Start the agent again.", (A.RESTART_AGENT,)
    ),
    "sending the message": Row(120, "The agent has not confirmed the message.", "Stop the agent.", (A.STOP,)),
    "agent quiet": Row(
        300, "The agent has sent nothing for some time.", "Wait. Foundry checks whether the agent is working.", ()
    ),
    "agent silent": Row(
        600,
        "The agent appears to work, but has sent nothing for a long time.",
        "Wait, or stop the agent.",
        (A.STOP, A.RESTART_AGENT),
    ),
    "permission unanswered": Row(
        1800, "The agent waits for an answer.", "Answer it, or stop the agent.", (A.ANSWER, A.STOP)
    ),
    "answer under way": Row(
        60, "The agent has not received the answer.", "Wait, or stop the agent.", (A.STOP, A.RESTART_AGENT)
    ),
    # a session, where Foundry acts by itself when the time is over
    "prompt unknown": Row(
        10, "The message may have been sent.", "Look at the work, then resend the message.", (A.RESEND,)
    ),
    "stopping": Row(
        30,
        "The agent did not stop when asked.",
        "Wait. Foundry ends the agent and starts it again.",
        (A.RESTART_AGENT,),
    ),
    "sandbox unreachable": Row(
        45, "The sandbox does not answer.", "Wait. Foundry starts the sandbox again.", (A.RESTART_AGENT,)
    ),
}
