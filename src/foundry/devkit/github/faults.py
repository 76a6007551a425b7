"""What a test asked to go wrong: answers that fail, hang, or get lost after the thing was done."""

from __future__ import annotations

import asyncio

from pydantic import BaseModel

from foundry.devkit.github.refusals import Refusal


class Fault(BaseModel):
    """One wish.

    `path` is a part of the REST path below /api/v3, or `git` for git over HTTP, or `oauth` for the token endpoint.
    """

    path: str
    method: str | None = None
    status: int | None = None  # none: nothing fails, it only takes its time
    seconds: float = 0  # to wait before the answer
    times: int = 1  # requests that meet it
    message: str = "Server Error"
    headers: dict[str, str] = {}
    after: bool = False  # the thing is done first, and its answer lost


class Faults:
    """The wishes that are still open, first come first served. Forgotten by a restart."""

    def __init__(self) -> None:
        self.open: list[Fault] = []

    def take(self, where: str, method: str) -> Fault | None:
        """The fault this request meets, counted down."""
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
    """Wait, then fail, if the fault is for this side of the work.

    Raises:
        Refusal: the fault has a status.
    """
    if fault is None or fault.after != after:
        return
    await asyncio.sleep(fault.seconds)
    if fault.status:
        raise Refusal(fault.status, fault.message, headers=fault.headers)
