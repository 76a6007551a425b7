"""Faults that a test requests: responses that fail, hang, or get lost after the work was done."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from foundry.devkit.github.refusals import Refusal


class Fault(BaseModel):
    """One requested fault.

    `path` is a part of the REST path under /api/v3, or `git` for git over HTTP, or `oauth` for the token endpoint.
    """

    path: str
    method: str | None = None
    status: int | None = None  # None: the request does not fail, it is only delayed
    seconds: float = 0  # delay before the response
    times: int = 1  # number of requests that it affects
    message: str = "Server Error"
    headers: dict[str, str] = {}
    after: bool = False  # the work is done first, and the response is lost


class Faults:
    """The pending faults, in order of request. A restart resets them."""

    def __init__(self) -> None:
        self.open: list[Fault] = []

    def take(self, where: str, method: str) -> Fault | None:
        """Return the fault for this request, and count it down."""
        for fault in self.open:
            exact = fault.path in ("git", "oauth") or where in ("git", "oauth")
            hit = fault.path == where if exact else fault.path in where
            if hit and fault.method in (None, method):
                fault.times -= 1
                if fault.times <= 0:
                    self.open.remove(fault)
                return fault
        return None


async def suffer(fault: Fault | None, *, after: bool) -> None:
    """Wait, then fail, if the fault applies on this side (before or after) of the work.

    Raises:
        Refusal: the fault has a status.
    """
    if fault is None or fault.after != after:
        return
    await asyncio.sleep(fault.seconds)
    if fault.status:
        raise Refusal(fault.status, fault.message, headers=fault.headers)
