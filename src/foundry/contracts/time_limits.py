"""How long each state that should pass may last, what is said when it does not, and what a person can do then."""

from __future__ import annotations

from foundry.contracts.overdue import Action as A
from foundry.contracts.overdue import Row
from foundry.contracts.task_operations import OPERATIONS

AGAIN = (A.RETRY, A.ARCHIVE)

PHASES: dict[str, Row] = {  # of a task's provisioning
    "naming": Row(60, "GitHub has not listed the repository's branches.", "Retry asks again.", AGAIN),
    "creating sandbox": Row(180, "The sandbox is still being created.", "Retry finds it and continues.", AGAIN),
    "starting sandbox-agent": Row(120, "sandbox-agent has not started.", "Read the sandbox's log, then retry.", AGAIN),
    "waiting for health": Row(60, "sandbox-agent does not answer.", "Read the sandbox's log, then retry.", AGAIN),
    "cloning": Row(300, "The repository is still being cloned.", "Wait if it is big, or retry.", AGAIN),
    "restoring the work": Row(300, "The checkpoint is still being restored.", "Retry starts it again.", AGAIN),
    "installing agent": Row(300, "The agent is still being installed.", "Read the sandbox's log, then retry.", AGAIN),
    "creating session": Row(180, "The agent has not opened its session.", "Retry restarts the agent.", AGAIN),
}

SESSIONS: dict[str, Row] = {
    "opening the agent": Row(180, "The agent has not opened its session.", "Restart it.", (A.RESTART_AGENT,)),
    "sending the message": Row(120, "The agent has not shown that it has the message.", "Stop it.", (A.STOP,)),
    "agent quiet": Row(300, "The agent has said nothing for some time.", "Foundry checks whether it works.", ()),
    "agent silent": Row(
        600, "The agent works, but has said nothing for a long time.", "Wait, or stop it.", (A.STOP, A.RESTART_AGENT)
    ),
    "permission unanswered": Row(1800, "The agent waits for an answer.", "Answer it, or stop it.", (A.ANSWER, A.STOP)),
    "answer under way": Row(
        60, "The agent has not received the answer.", "Stop it, or wait.", (A.STOP, A.RESTART_AGENT)
    ),
    # where Foundry acts automatically when the time is over
    "prompt unknown": Row(10, "The message may have been sent.", "Look at the work, then resend.", (A.RESEND,)),
    "stopping": Row(
        30,
        "The agent did not stop when asked.",
        "Wait for the agent to restart, or resume the session.",
        (A.RESTART_AGENT,),
    ),
    "sandbox unreachable": Row(
        45, "The sandbox does not answer.", "Wait for the agent to restart, or resume the session.", (A.RESTART_AGENT,)
    ),
}

TABLE: dict[str, Row] = {
    **PHASES,
    **{
        one.title: Row(one.may_last, one.overdue, one.remedy, one.offers) for one in OPERATIONS.values() if one.may_last
    },
    **SESSIONS,
}
