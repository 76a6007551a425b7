"""What the edge and the sandbox door read of a SandboxInstance."""

from __future__ import annotations

from sqlalchemy import select

from foundry.actors.sandbox_instance.tables import sandboxes
from foundry.contracts.addresses import sandbox as address
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import SandboxId
from foundry.contracts.inspection import SandboxSeen
from foundry.contracts.sandbox_instance import SandboxState, SandboxView
from foundry.contracts.sandbox_provider import Endpoint
from foundry.runtime.columns import AnyRow, from_row
from foundry.runtime.reader import Reader


def view(row: AnyRow) -> SandboxView:
    """The sandbox as pages show it, from its row."""
    return from_row(SandboxView, row, id=row.sandbox)


def sandbox_view(reader: Reader, sandbox: SandboxId) -> SandboxView:
    """The whole sandbox.

    Raises:
        NotFound: there is none with this id.
    """
    row = reader.rows(address(sandbox)).find(sandboxes)
    if row is None:
        raise NotFound(f"no sandbox with id {sandbox}")
    return view(row)


def sandbox_snapshot(reader: Reader, sandbox: SandboxId) -> tuple[int, SandboxView]:
    """The topic's version and the whole sandbox, from one snapshot."""
    return reader.version(address(sandbox)), sandbox_view(reader, sandbox)


def endpoint(reader: Reader, sandbox: SandboxId) -> Endpoint | None:
    """Where its sandbox-agent was last seen; None before the first start."""
    row = reader.rows(address(sandbox)).find(sandboxes)
    return Endpoint.model_validate_json(row.endpoint) if row and row.endpoint else None


def running(reader: Reader) -> list[SandboxId]:
    """Those whose sandbox-agent is thought to answer."""
    rows = reader.all(select(sandboxes.c.sandbox).where(sandboxes.c.state == SandboxState.RUNNING.value))
    return [SandboxId(row.sandbox) for row in rows]


def standing(reader: Reader) -> dict[SandboxId, SandboxState]:
    """Every sandbox there ever was, and how it stands."""
    rows = reader.all(select(sandboxes.c.sandbox, sandboxes.c.state))
    return {SandboxId(row.sandbox): SandboxState(row.state) for row in rows}


def existing(reader: Reader) -> list[SandboxSeen]:
    """Those that exist as far as is recorded, the biggest first."""
    gone = (SandboxState.CREATING.value, SandboxState.LOST.value, SandboxState.DELETED.value)
    c = sandboxes.c
    query = select(c.sandbox, c.task, c.state, c.disk, c.remove_at).where(c.state.not_in(gone))
    rows = sorted(reader.all(query), key=lambda row: (-(row.disk or 0), row.sandbox))
    return [from_row(SandboxSeen, row, id=row.sandbox) for row in rows]
