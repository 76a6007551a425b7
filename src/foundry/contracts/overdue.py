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
    "naming": Row(60, "GitHub has not told the repository's branches.", "Retry asks again.", AGAIN),
    "creating sandbox": Row(180, "The sandbox is still being created.", "Retry looks for it and goes on.", AGAIN),
    "starting sandbox-agent": Row(120, "sandbox-agent has not started.", "Read the sandbox's log, then retry.", AGAIN),
    "waiting for health": Row(60, "sandbox-agent does not answer.", "Read the sandbox's log, then retry.", AGAIN),
    "cloning": Row(300, "The repository is still being cloned.", "Wait if it is big, or retry.", AGAIN),
    "restoring the work": Row(300, "The checkpoint is still being restored.", "Retry begins it again.", AGAIN),
    "installing agent": Row(300, "The agent is still being installed.", "Read the sandbox's log, then retry.", AGAIN),
    "creating session": Row(180, "The agent has not opened its session.", "Retry starts the agent anew.", AGAIN),
    # a task's other work
    "publishing": Row(300, "Pushing and opening the pull request have not ended.", "Retry begins again.", (A.RETRY,)),
    "renaming the branch": Row(
        180, "The branch has not been renamed everywhere.", "Retry goes on with it.", (A.RETRY,)
    ),
    "saving the work": Row(300, "The checkpoint has not been stored.", "Retry begins again.", (A.RETRY,)),
    "bringing work back": Row(300, "The checkpoint has not been restored.", "Retry begins again.", (A.RETRY,)),
    "getting GitHub's commits": Row(300, "GitHub's commits have not come.", "Retry begins again.", (A.RETRY,)),
    "stopping the sandbox": Row(
        300, "The sandbox that nobody uses has not been stopped.", "Retry begins again.", (A.RETRY,)
    ),
    "giving the sandbox back": Row(
        600, "The sandbox is still there.", "Retry, or discard what is in it.", (A.RETRY, A.DISCARD)
    ),
    # a session
    "opening the agent": Row(180, "The agent has not opened its session.", "Start it anew.", (A.RESTART_AGENT,)),
    "sending the message": Row(120, "The agent has not shown that it has the message.", "Stop it.", (A.STOP,)),
    "agent quiet": Row(300, "The agent has said nothing for some time.", "Foundry looks whether it works.", ()),
    "agent silent": Row(
        600, "The agent says it works, and has said nothing for long.", "Wait, or stop it.", (A.STOP, A.RESTART_AGENT)
    ),
    "permission unanswered": Row(1800, "The agent waits for an answer.", "Answer it, or stop it.", (A.ANSWER, A.STOP)),
    "answer under way": Row(60, "The agent has not got the answer.", "Stop it, or wait.", (A.STOP, A.RESTART_AGENT)),
    # a session, where Foundry acts by itself when the time is over
    "prompt unknown": Row(10, "The message may have been sent.", "Look at the work, then resend.", (A.RESEND,)),
    "stopping": Row(30, "The agent did not stop when asked.", "It is ended and started again.", (A.RESTART_AGENT,)),
    "sandbox unreachable": Row(45, "The sandbox does not answer.", "It is started again.", (A.RESTART_AGENT,)),
}
