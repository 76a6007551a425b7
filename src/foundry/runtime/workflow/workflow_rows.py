"""Start rows: a workflow is one from the turn that starts it until the turn that takes its end."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select

from foundry.contracts.ids import WorkflowId
from foundry.contracts.messages import Address, ScopeId
from foundry.runtime.reader import Reader
from foundry.runtime.store.tables import workflows


class Started(NamedTuple):
    """A workflow's start row."""

    id: WorkflowId
    name: str
    owner: Address
    scope: ScopeId
    generation: int
    crashes: int
    job: str
    cancelled: bool


def start_rows(reader: Reader, workflow_id: str | None = None) -> list[Started]:
    """All start rows, or the one of this id."""
    query = select(workflows)
    if workflow_id is not None:
        query = query.where(workflows.c.id == workflow_id)
    return [
        Started(
            r.id,
            r.name,
            Address.parse(r.owner),
            r.scope,
            r.generation,
            r.crashes,
            r.job,
            bool(r.cancelled),
        )
        for r in reader.all(query)
    ]
