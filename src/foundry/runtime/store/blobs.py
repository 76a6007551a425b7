"""Blobs: content that is too large for a row of an actor's, beside the rows and in the same database.

Guarantee: when `write` has returned, the content is durable. It goes in parts, each a small transaction of its own, so
nobody waits long behind it; so the row that refers to it is written afterwards, and what no row refers to is nothing.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import delete, func, insert, select

from foundry.contracts.messages import Address
from foundry.runtime.host import Host
from foundry.runtime.reader import Reader
from foundry.runtime.store.base import Transaction
from foundry.runtime.store.tables import blobs

PART = 512 * 1024  # bytes of one row: some milliseconds of a writer's time


class Blobs:
    """Content by key, such as `checkpoint/tsk_.../chk_.../bundle`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def write(self, key: str, content: bytes) -> None:
        """Keep this content under the key, in place of any other."""
        address = Address("Blob", key)
        await self._host.system(address, partial(_forget, key))
        for number, start in enumerate(range(0, max(1, len(content)), PART)):
            await self._host.system(address, partial(_put, key, number, content[start : start + PART]))

    async def read(self, key: str) -> bytes | None:
        """The content; None if there is none."""
        parts = await self._host.read(_parts, key)
        if not parts:
            return None
        return b"".join([await self._host.read(_part, key, number) for number in range(parts)])

    async def keys(self, prefix: str) -> list[str]:
        """The keys that begin so."""
        return await self._host.read(_keys, prefix)

    async def delete(self, key: str) -> None:
        """Forget the content; there need be none."""
        await self._host.system(Address("Blob", key), partial(_forget, key))


def _forget(key: str, tx: Transaction) -> None:
    tx.connection.execute(delete(blobs).where(blobs.c.key == key))


def _put(key: str, number: int, data: bytes, tx: Transaction) -> None:
    tx.connection.execute(insert(blobs), {"key": key, "part": number, "data": data, "at": tx.now})


def _parts(reader: Reader, key: str) -> int:
    row = reader.first(select(func.count().label("parts")).select_from(blobs).where(blobs.c.key == key))
    return row.parts if row else 0


def _part(reader: Reader, key: str, number: int) -> bytes:
    return reader.one(select(blobs.c.data).where(blobs.c.key == key, blobs.c.part == number)).data


def _keys(reader: Reader, prefix: str) -> list[str]:
    query = select(blobs.c.key).where(blobs.c.key.startswith(prefix, autoescape=True)).distinct()
    return [row.key for row in reader.all(query.order_by(blobs.c.key))]
