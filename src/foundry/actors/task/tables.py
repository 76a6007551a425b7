"""What a Task keeps. Contract models are stored as their JSON."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Text

from foundry.runtime.store.tables import owned_table

tasks = owned_table(
    "Task",
    "tasks",
    Column("task", String, primary_key=True),
    Column("organization", String, nullable=False),
    Column("repository", Text, nullable=False),  # RepositoryRef
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
    Column("trouble", Text),  # PhaseTrouble
    Column("workflow", String),  # the provisioning that runs
    Column("publishing", String, nullable=False, server_default=""),
    Column("publish_workflow", String),
    Column("auto_publish", Boolean, nullable=False),
    Column("agent", String, nullable=False),
    Column("sandbox", String, nullable=False),  # the active one (R6)
    Column("active_session", String),
    Column("running_message", String),  # the prompt that has the work tree
    Column("pull_request", Text),  # PullRequestRef
    Column("work", Text, nullable=False, server_default="{}"),  # WorkTree
    Column("note", Text, nullable=False, server_default=""),
    Column("archived", String),
    Column("begins_from", Text),  # CheckpointRef
    Column("save_workflow", String),
    Column("save_wanted", Text),  # SaveWish: another save is due when the present one ends
    Column("save_trouble", Text),  # PhaseTrouble
    Column("restore_workflow", String),
    Column("release_workflow", String),
    Column("rest_workflow", String),
    Column("resting", Boolean, nullable=False, server_default="0"),  # the sandbox is stopped, or about to be
    Column("rename", Text),  # BranchRename: one that runs or has failed
    Column("rename_workflow", String),
    Column("former_branches", Text, nullable=False, server_default="[]"),  # names it had before
    Column("upstream", Text),  # Heard: the branch on GitHub
    Column("fetch_workflow", String),
    Column("fetch_writes", Boolean, nullable=False, server_default="0"),  # it has the work tree
    Column("began", Text, nullable=False, server_default="{}"),  # since when each thing stands that should pass
    Column("overdue", Text),  # Overdue: of the task's own
    Column("rebuilt", Text, nullable=False, server_default="[]"),  # when its sandbox was lost, in milliseconds
    Column("lost_sandbox", String),  # the one before this
    Column("kept", Text, nullable=False, server_default=""),
    Column("remove_at", BigInteger),  # when the sandbox of an archived task is removed
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Index("tasks_open", "state", "organization"),
)

task_sessions_known = owned_table(
    "Task",
    "task_sessions_known",
    Column("task", String, primary_key=True),
    Column("session", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("agent", String, nullable=False),
    Column("title", String, nullable=False, server_default=""),
    Column("status", String, nullable=False),
    Column("trouble", Text),  # PhaseTrouble
    Column("overdue", Text),  # Overdue
    Column("opening", Boolean, nullable=False, server_default="0"),  # its agent has been asked for
    Column("resting", Boolean, nullable=False, server_default="0"),  # its agent went to rest with the sandbox
)

waiting_prompts = owned_table(
    "Task",
    "task_waiting_prompts",
    Column("task", String, primary_key=True),
    Column("message", String, primary_key=True),
    Column("session", String, nullable=False),
    Column("number", BigInteger, nullable=False),  # when it was said, in milliseconds: their order
)

checkpoints = owned_table(
    "Task",
    "task_checkpoints",
    Column("task", String, primary_key=True),
    Column("checkpoint", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("reason", String, nullable=False),
    Column("session", String),
    Column("message", String),
    Column("saved", Text, nullable=False),  # Saved
    Column("at", BigInteger, nullable=False),
)
