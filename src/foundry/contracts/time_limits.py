"""How long each state that should pass may last, what is said when it does not, and what a person can do then."""

from __future__ import annotations

from foundry.contracts.overdue import Action as A
from foundry.contracts.overdue import TimeLimit
from foundry.contracts.task_operations import OPERATIONS

AGAIN = (A.RETRY, A.ARCHIVE)

PHASES: dict[str, TimeLimit] = {  # of a task's provisioning
    "naming": TimeLimit(60, "GitHub has not listed the repository's branches.", "Retry asks again.", AGAIN),
    "creating sandbox": TimeLimit(180, "The sandbox is still being created.", "Retry finds it and continues.", AGAIN),
    "starting sandbox-agent": TimeLimit(
        120, "sandbox-agent has not started.", "Read the sandbox's log, then retry.", AGAIN
    ),
    "waiting for health": TimeLimit(60, "sandbox-agent does not answer.", "Read the sandbox's log, then retry.", AGAIN),
    "cloning": TimeLimit(300, "The repository is still being cloned.", "Wait if it is big, or retry.", AGAIN),
    "restoring the work": TimeLimit(300, "The checkpoint is still being restored.", "Retry starts it again.", AGAIN),
    "installing agent": TimeLimit(
        300, "The agent is still being installed.", "Read the sandbox's log, then retry.", AGAIN
    ),
    "creating session": TimeLimit(180, "The agent has not opened its session.", "Retry restarts the agent.", AGAIN),
}

SESSIONS: dict[str, TimeLimit] = {
    "opening the agent": TimeLimit(180, "The agent has not opened its session.", "Restart it.", (A.RESTART_AGENT,)),
    "sending the message": TimeLimit(120, "The agent has not shown that it has the message.", "Stop it.", (A.STOP,)),
    "agent quiet": TimeLimit(300, "The agent has said nothing for some time.", "Foundry checks whether it works.", ()),
    "agent silent": TimeLimit(
        600, "The agent works, but has said nothing for a long time.", "Wait, or stop it.", (A.STOP, A.RESTART_AGENT)
    ),
    "permission unanswered": TimeLimit(
        1800, "The agent waits for an answer.", "Answer it, or stop it.", (A.ANSWER, A.STOP)
    ),
    "answer under way": TimeLimit(
        60, "The agent has not received the answer.", "Stop it, or wait.", (A.STOP, A.RESTART_AGENT)
    ),
    # where Foundry acts automatically when the time is over
    "prompt unknown": TimeLimit(10, "The message may have been sent.", "Look at the work, then resend.", (A.RESEND,)),
    "stopping": TimeLimit(
        30,
        "The agent did not stop when asked.",
        "Wait for the agent to restart, or resume the session.",
        (A.RESTART_AGENT,),
    ),
    "sandbox unreachable": TimeLimit(
        45, "The sandbox does not answer.", "Wait for the agent to restart, or resume the session.", (A.RESTART_AGENT,)
    ),
}

TABLE: dict[str, TimeLimit] = {
    **PHASES,
    **{
        one.title: TimeLimit(one.may_last, one.overdue, one.remedy, one.offers)
        for one in OPERATIONS.values()
        if one.may_last
    },
    **SESSIONS,
}
