"""Ids: prefixed, sortable by time, and safe in URLs, file names and git branch names.

An id of ours is its prefix and a UUIDv7 (RFC 9562) in 26 characters of lowercase Crockford base32: 48 bits of Unix
milliseconds first, so ids made later sort later. Ids of GitHub's are GitHub's numbers, as text.
"""

from __future__ import annotations

import os
import re
import time
from typing import NewType

UserId = NewType("UserId", str)  # GitHub's numeric id
OrganizationId = NewType("OrganizationId", str)  # GitHub's numeric id
RepositoryId = NewType("RepositoryId", str)  # GitHub's numeric id
TaskId = NewType("TaskId", str)  # tsk_...
SessionId = NewType("SessionId", str)  # ses_...
SandboxId = NewType("SandboxId", str)  # sbx_...
MessageId = NewType("MessageId", str)  # msg_...: one prompt of a person to an agent
PermissionId = NewType("PermissionId", str)  # prm_...
CheckpointId = NewType("CheckpointId", str)  # chk_...
WorkflowId = NewType("WorkflowId", str)  # wfl_...

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID = re.compile(r"^[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}$")


def new_id(prefix: str, *, now_ms: int | None = None, entropy: bytes | None = None) -> str:
    """A fresh id such as `tsk_06fr...`.

    Args:
        prefix: three lowercase letters.
        now_ms: Unix time in milliseconds; the machine's clock if absent.
        entropy: at least 10 bytes; the system's randomness if absent.
    """
    stamp = int(time.time() * 1000) if now_ms is None else now_ms
    noise = int.from_bytes((entropy or os.urandom(10))[:10], "big")
    value = (stamp & (2**48 - 1)) << 80 | 0x7 << 76 | (noise >> 62 & 0xFFF) << 64 | 0b10 << 62 | noise & (2**62 - 1)
    digits = "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))
    return f"{prefix}_{digits}"


def is_id(text: str, prefix: str) -> bool:
    """Whether `text` has the form of an id of ours with this prefix."""
    return text.startswith(f"{prefix}_") and _ID.match(text) is not None
