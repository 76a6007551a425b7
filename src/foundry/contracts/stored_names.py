"""Names as release 0.2 stored them, where this release calls the thing something else. Goes with release 0.4.

They are only read: what is written has today's names, which 0.2 reads too. The database's rows of before are renamed
when it is contracted (revision 0011).
"""

from __future__ import annotations

WORKFLOWS = {
    "inspect": "git_status",
    "rest": "idle_stop",
}
NOT_READ = {"SessionReady"}  # messages that 0.2 sends for 0.1


def current(workflow: str) -> str:
    """A workflow's name today."""
    return WORKFLOWS.get(workflow, workflow)
