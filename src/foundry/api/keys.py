"""Idempotency keys, and ids derived from them. A repeated create addresses the actor that the first one created."""

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
        description="Send the same key again to repeat a request safely. Keys are kept for 24 hours.",
    ),
]


def id_from_key(prefix: str, caller: str, key: str | None) -> str:
    """Return the id for a create with this key, or a fresh id without a key.

    Args:
        prefix: three lowercase letters.
        caller: the caller, for example `user:4711`. The same key of another caller gives another id.

    The time part of a derived id is not its creation time, so nothing may sort by it.
    """
    if key is None:
        return new_id(prefix, now_ms=int(time.time() * 1000))
    digest = hashlib.sha256(f"{prefix}\0{caller}\0{key}".encode()).digest()
    return new_id(prefix, now_ms=int.from_bytes(digest[10:16], "big"), entropy=digest[:10])
