"""Lease: who of several processes does something now, as a row; it falls free by itself when its holder is silent.

Each holding has a fencing number, which is raised by the next.
"""

from __future__ import annotations

from foundry.runtime.store.base import Transaction


def acquire(tx: Transaction, name: str, holder: str, term: float) -> int | None:
    """The fencing number; None if somebody else has it.

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
    """Whether it is still held."""
    expires = tx.now + int(term * 1000)
    return bool(
        tx.execute("UPDATE leases SET expires_at=? WHERE name=? AND fencing=? RETURNING 1", expires, name, fencing)
    )


def release(tx: Transaction, name: str, fencing: int) -> None:
    """Nobody need wait for its end."""
    tx.execute("UPDATE leases SET expires_at=0 WHERE name=? AND fencing=?", name, fencing)
