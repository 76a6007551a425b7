"""Lease: a row that says which process does something now. It expires if its holder does not renew it.

Each holding has a fencing number, which is raised by the next.
"""

from __future__ import annotations

from foundry.runtime.store.base import Transaction


def acquire(tx: Transaction, name: str, holder: str, term: float) -> int | None:
    """Take the lease. Return its fencing number; None if another process has it.

    Args:
        term: seconds until it is free, unless it is renewed or released before.
    """
    rows = tx.execute(
        "INSERT INTO leases (name, holder, fencing, expires_at) VALUES (?,?,1,?)"
        " ON CONFLICT (name) DO UPDATE SET holder=excluded.holder, fencing=leases.fencing+1,"
        " expires_at=excluded.expires_at WHERE leases.expires_at < ? OR leases.holder = excluded.holder"
        " RETURNING fencing",
        name, holder, tx.now + int(term * 1000), tx.now,
    )  # fmt: skip
    return int(str(rows[0][0])) if rows else None


def renew(tx: Transaction, name: str, fencing: int, term: float) -> bool:
    """Extend the lease. Return False if it is no longer held."""
    expires = tx.now + int(term * 1000)
    return bool(
        tx.execute("UPDATE leases SET expires_at=? WHERE name=? AND fencing=? RETURNING 1", expires, name, fencing)
    )


def release(tx: Transaction, name: str, fencing: int) -> None:
    """Release the lease, so that others need not wait until it expires."""
    tx.execute("UPDATE leases SET expires_at=0 WHERE name=? AND fencing=?", name, fencing)
