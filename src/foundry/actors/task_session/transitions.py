"""The legal transitions of a session, its messages and its permission requests. The rest is refused."""

from __future__ import annotations

from enum import StrEnum

from foundry.contracts.session_stream import Signs
from foundry.contracts.task_session import MessageState as M
from foundry.contracts.task_session import PermissionState as P
from foundry.contracts.task_session import SessionStatus as S

SESSION: dict[S, frozenset[S]] = {
    S.PENDING: frozenset({S.READY, S.IDLE, S.ERROR, S.CLOSED}),
    S.READY: frozenset({S.RUNNING, S.ERROR, S.PENDING, S.CLOSED}),
    S.RUNNING: frozenset({S.IDLE, S.ERROR, S.PENDING, S.CLOSED}),
    S.IDLE: frozenset({S.RUNNING, S.ERROR, S.PENDING, S.CLOSED}),
    S.ERROR: frozenset({S.READY, S.IDLE, S.RUNNING, S.PENDING, S.CLOSED}),
    S.CLOSED: frozenset(),
}

MESSAGE: dict[M, frozenset[M]] = {
    M.QUEUED: frozenset({M.SENDING, M.CANCELLED}),
    M.SENDING: frozenset({M.RUNNING, M.DONE, M.CANCELLED, M.FAILED, M.UNKNOWN, M.QUEUED}),  # queued: certainly not sent
    M.RUNNING: frozenset({M.DONE, M.CANCELLED, M.FAILED, M.UNKNOWN}),
    M.UNKNOWN: frozenset({M.QUEUED, M.RUNNING, M.DONE, M.CANCELLED, M.FAILED}),  # a person, or the stream, decides
    M.FAILED: frozenset({M.QUEUED, M.CANCELLED}),
    M.DONE: frozenset(),
    M.CANCELLED: frozenset(),
}

PERMISSION: dict[P, frozenset[P]] = {
    P.WAITING: frozenset({P.ANSWERING, P.GONE}),
    P.ANSWERING: frozenset({P.ANSWERED, P.WAITING, P.GONE}),  # waiting again: the answer was not delivered
    P.ANSWERED: frozenset(),
    P.GONE: frozenset(),
}


class Verdict(StrEnum):
    """What the silence of the stream and the agent's process show."""

    WORKS = "works"  # or may work: nothing is done
    ENDED = "ended"  # its turn is over, although it did not say so
    GONE = "gone"


def verdict(signs: Signs, *, quiet: bool, said_last: bool, tools: bool, asks: bool) -> Verdict:
    """Decide if a prompt without a response is over.

    Args:
        quiet: nothing has come for long.
        said_last: the agent's text came last, so it may have finished.
        tools: a tool call is not finished.
        asks: a permission request is not over.
    """
    if not signs.alive:
        return Verdict.GONE
    if quiet and said_last and not (signs.busy or tools or asks):
        return Verdict.ENDED
    return Verdict.WORKS
