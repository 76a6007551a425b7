"""Names as release 0.1 stored them, where they are called something else now. Goes with release 0.3.

Rows of workflows are written under the stored name, so that a replica of 0.1 beside this one knows them.
"""

from __future__ import annotations

STORED = {  # as they are called now -> as they are stored
    "git_status": "inspect",
    "idle_stop": "rest",
}
_CURRENT = {old: new for new, old in STORED.items()}


def stored(name: str) -> str:
    return STORED.get(name, name)


def current(name: str) -> str:
    return _CURRENT.get(name, name)
