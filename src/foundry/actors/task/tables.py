"""What a Task keeps. Contract models are stored as their JSON; times are Unix milliseconds.

What runs is not here: a turn reads it from the runtime's table (`turn.running()`).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from foundry.runtime.store.tables import owned_table


def _table(name: str, *parts: Column[Any] | Index) -> Table:
    return owned_table("Task", name, Column("task", String, primary_key=True), *parts)


tasks = _table(
    "tasks",
    Column("organization", String, nullable=False),
    Column("repository_id", String, nullable=False, server_default=""),
    Column("prompt", Text, nullable=False),
    Column("title", String, nullable=False),
    Column("wanted_branch", String),  # what the person asked for
    Column("branch", String),  # what Repository reserved; 1:1 from then on (R4)
    Column("base", String, nullable=False),
    Column("person", Text, nullable=False),  # Person
    Column("state", String, nullable=False),
    Column("phase", String, nullable=False),
    Column("phase_since", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("auto_publish", Boolean, nullable=False),
    Column("agent", String, nullable=False),
    Column("sandbox", String, nullable=False),  # the active one (R6)
    Column("sandbox_stopped", Boolean, nullable=False, server_default="0"),  # or about to be, by an idle stop
    Column("active_session", String),
    Column("running_message", String),  # the prompt that has the work tree
    Column("pull_request_number", Integer),  # R14: the rest is joined
    Column("pull_request_ended", String, nullable=False, server_default=""),  # closed, merged: what the task acted on
    Column("work", Text, nullable=False, server_default="{}"),  # WorkTree
    Column("note", Text, nullable=False, server_default=""),
    Column("archived", String),
    Column("begins_from", Text),  # CheckpointRef
    Column("overdue", Text),  # Overdue: of the task's own
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),  # when what is shown of it last changed
    Index("tasks_open", "state", "organization"),
)

operations = _table(
    "task_operations",  # what the runtime does not know of an operation
    Column("kind", String, primary_key=True),
    Column("step", String, nullable=False, server_default=""),  # as it is shown
    Column("holds", Boolean, nullable=False, server_default="0"),  # it has taken the work tree, late
    Column("failure", Text),  # PhaseFailure: of its last attempt
)

task_sessions_known = _table(
    "task_sessions_known",
    Column("session", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("agent", String, nullable=False),
    Column("title", String, nullable=False, server_default=""),
    Column("status", String, nullable=False),
    Column("trouble", Text, key="failure"),  # PhaseFailure
    Column("overdue", Text),  # Overdue
    Column("opening", Boolean, nullable=False, server_default="0"),  # its agent has been asked for
    Column("resting", Boolean, key="sandbox_stopped", nullable=False, server_default="0"),  # with its agent
)

waiting_prompts = _table(
    "task_waiting_prompts",
    Column("message", String, primary_key=True),
    Column("session", String, nullable=False),
    Column("number", BigInteger, nullable=False),  # when it was said, in milliseconds: their order
)

checkpoints = _table(
    "task_checkpoints",
    Column("checkpoint", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("reason", String, nullable=False),
    Column("session", String),
    Column("message", String),
    Column("saved", Text, nullable=False),  # Saved
    Column("at", BigInteger, nullable=False),
)

wanted_checkpoints = _table(
    "task_wanted_checkpoints",  # at most one: it stands for those that waited before it
    Column("reason", String, nullable=False),
    Column("session", String),
    Column("message", String),
)

diffs = _table("task_diffs", Column("diff", Text, nullable=False))  # against the base; cut at 256 KiB

remote_branches = _table(
    "task_remote_branches",  # the branch on GitHub as last seen; no row: never seen there
    Column("head", String),  # none: it was deleted; empty: it was made, at a commit that is not known
    Column("before", String),  # its head before that
    Column("since", BigInteger, nullable=False, server_default="0"),  # GitHub's clock; older news is ignored
    Column("pushed", Text, nullable=False, server_default="[]"),  # the task's own latest heads, the newest last
    Column("tried", String),  # the head for which a fetch was started automatically
    Column("later", Boolean, nullable=False, server_default="0"),  # a fetch found an agent at work
)

renames = _table(
    "task_renames",  # one that runs or has failed
    Column("old", String, nullable=False),
    Column("new", String, nullable=False),
    Column("replaces", Integer),  # the pull request that GitHub closes because of it
    Column("touched", Boolean, nullable=False, server_default="0"),  # the sandbox may have the new name
    Column("asked", Boolean, nullable=False, server_default="0"),  # GitHub may have the new name
    Column("giving_up", Boolean, nullable=False, server_default="0"),
    Column("merged", Boolean, nullable=False, server_default="0"),  # meanwhile: the task is archived at the end
)

former_branches = _table("task_former_branches", Column("branch", String, primary_key=True))

lost_sandboxes = _table(
    "task_lost_sandboxes",
    Column("sandbox", String, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("replaced", Boolean, nullable=False, server_default="0"),  # there is a new one
)

releases = _table(
    "task_releases",  # of an archived task
    Column("retained", Text, nullable=False, server_default=""),  # why the sandbox is still there; empty: it is not
    Column("remove_at", BigInteger),  # when the stopped sandbox is removed
)
