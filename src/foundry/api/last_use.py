"""The last use of app sessions and API tokens, recorded at most every 5 minutes, after the request was let through.

The request does not wait for the turn that records it. A turn that fails is logged; the next request tries again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

from starlette.requests import HTTPConnection

from foundry.api.client import client_address
from foundry.api.context import Foundry
from foundry.contracts import addresses
from foundry.contracts.app_shell import RecordUse, Use

EVERY = timedelta(minutes=5)


class Hashed(Protocol):
    @property
    def hash(self) -> str: ...


class Used(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def used_at(self) -> datetime | None: ...


def note_use(foundry: Foundry, request: HTTPConnection, credential: Hashed, who: Used) -> None:
    """Record that somebody used this app session or API token now, unless that is known. Does not wait.

    Args:
        who: `id` is empty for the admin token, whose requests the audit log has.
    """
    recent = who.used_at is not None and foundry.now() - who.used_at < EVERY
    if not who.id or recent or credential.hash in foundry.uses_under_way:
        return
    foundry.uses_under_way.add(credential.hash)
    use = Use(token_hash=credential.hash, address=client_address(request))
    foundry.later(_record(foundry, use), "recording the last use")


async def _record(foundry: Foundry, use: Use) -> None:
    try:
        await foundry.runtime.ask(addresses.app_shell(), RecordUse(uses=[use]))
    finally:
        foundry.uses_under_way.discard(use.token_hash)
