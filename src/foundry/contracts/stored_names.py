"""Names as other releases store them, where this one calls the thing something else. Goes with release 0.3.

Release 0.1 is written for: rows of workflows carry its names, so that a replica of 0.1 beside this one knows them.
Release 0.3 is read: a replica of it may run beside this one, and writes the names that it will have.
"""

from __future__ import annotations

STORED = {  # workflows, as they are called now -> as they are stored
    "git_status": "inspect",
    "idle_stop": "rest",
}
_CURRENT = {old: new for new, old in STORED.items()}

COMING_FIELDS = {  # of models, as they are called now -> as release 0.3 writes them
    "trouble": "failure",
    "save_trouble": "checkpoint_failure",
    "kept": "retained",
    "resting": "sandbox_stopped",
    "strays": "orphans",
}
COMING_MESSAGES = {  # as release 0.3 writes them -> as they are called now
    "FailureRaised": "TroubleRaised",
    "FailureEnded": "TroubleEnded",
    "FailuresOver": "TroublesOver",
}
COMING_VALUES = {  # of enums, as release 0.3 writes them -> as they are called now
    "retained": "kept",
    "overdue": "late",
}


def stored(name: str) -> str:
    return STORED.get(name, name)


def current(name: str) -> str:
    return _CURRENT.get(name, name)
