"""Release 0.1's columns of `github_states`, while a replica of it may run beside this one. Goes with release 0.3."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, MetaData, String, Table

from foundry.contracts.ids import WorkflowId
from foundry.contracts.messages import millis
from foundry.runtime.turn import Turn

old = Table(
    "github_states",
    MetaData(),
    Column("github", String, primary_key=True),
    Column("sync_workflow", String),
    Column("sync_started_at", BigInteger),
    info={"owner": "GitHubState"},
)


def syncs(turn: Turn, workflow: WorkflowId | None) -> None:
    """This sync runs, or none does."""
    turn.update(old, sync_workflow=workflow, sync_started_at=millis(turn.now) if workflow else None)
