"""Idempotency keys, and ids derived from them: a repeated create addresses the very actor that the first one made."""

from __future__ import annotations

import hashlib
import time
from typing import Annotated

from fastapi import Header

from foundry.contracts.ids import new_id

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="Send the same key again to repeat a request safely; kept for 24 hours.",
    ),
]


def id_from_key(prefix: str, caller: str, key: str | None) -> str:
    """The id of what a create with this key makes; a fresh one if there is no key.

    Args:
        prefix: three lowercase letters.
        caller: who asks, e.g. `user:4711`; the same key of another caller gives another id.

    A derived id has a time part too, but not of its creation: nothing may sort by it.
    """
    if key is None:
        return new_id(prefix, now_ms=int(time.time() * 1000))
    digest = hashlib.sha256(f"{prefix}\0{caller}\0{key}".encode()).digest()
    return new_id(prefix, now_ms=int.from_bytes(digest[10:16], "big"), entropy=digest[:10])
