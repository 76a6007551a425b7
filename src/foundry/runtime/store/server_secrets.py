"""Secrets that all servers of one database share, sealed. Each is made once, and only its sealing changes.

The first one is read before the runtime starts, because the doors need it: so `kept` opens a connection of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import select, text, update

from foundry.contracts.messages import Address
from foundry.runtime.host import Host
from foundry.runtime.reader import Reader
from foundry.runtime.store.base import Transaction
from foundry.runtime.store.migrate import engine_of
from foundry.runtime.store.tables import server_secrets

KEEP = text("INSERT INTO server_secrets (name, sealed) VALUES (:name, :sealed) ON CONFLICT DO NOTHING")


def kept(url: str, name: str, sealed: str) -> str:
    """The secret of this name, sealed. If there is none, it is `sealed` from now on."""
    engine = engine_of(url)
    try:
        with engine.begin() as connection:
            connection.execute(KEEP, {"name": name, "sealed": sealed})
            query = select(server_secrets.c.sealed).where(server_secrets.c.name == name)
            return str(connection.execute(query).scalar_one())
    finally:
        engine.dispose()


class ServerSecrets:
    """All of them, for sealing them again: `foundry.actors.secret_keys.SealedStore`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def texts(self) -> Mapping[str, Sequence[str]]:
        return await self._host.read(_texts)

    async def reseal(self, entry: str, again: Callable[[str], str]) -> None:
        for old in (await self.texts()).get(entry, ()):
            new = again(old)

            def replace(tx: Transaction, old: str = old, new: str = new) -> None:
                where = (server_secrets.c.name == entry, server_secrets.c.sealed == old)
                tx.connection.execute(update(server_secrets).where(*where).values(sealed=new))

            await self._host.system(Address("Secret", entry), replace)


def _texts(reader: Reader) -> Mapping[str, Sequence[str]]:
    return {row.name: [row.sealed] for row in reader.all(select(server_secrets))}
