"""Names as release 0.3 stores them, where this release calls the thing something else. Goes with release 0.5.

0.3 sends two messages under the names that 0.2 knew. It may do so at any time while it runs beside this release, so
they are read under both names. They are sent under today's: 0.3 reads those too.

Everything else that 0.2 stored has had today's names since revision 0012, and 0.3 writes today's. Only columns keep
their stored names, by `Column("trouble", key="failure")`: two releases that run beside each other need the same ones.
"""

from __future__ import annotations

MESSAGES = {
    "Follow": "ReadStream",
    "Unfollow": "StopReading",
}


def current_message(stored: str) -> str:
    return MESSAGES.get(stored, stored)
