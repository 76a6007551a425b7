"""The server's keys, while it runs: add one, seal everything again under it, drop the old ones.

Nothing is unreadable in between. The new key is in the key file before anything is sealed under it, every key opens,
and a text is replaced only by the same text under the newest key. Old keys go when nothing is sealed under them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import structlog

from foundry.actors.encryption import SealedUnder, Sealer, drop_old_keys, keys_in, put_key_in_front
from foundry.contracts.errors import WrongState
from foundry.contracts.messages import Model

BATCH = 50  # entries sealed again by one request

log = structlog.get_logger("foundry.keys")


class SealedStore(Protocol):
    """Something that keeps sealed texts."""

    async def texts(self) -> Mapping[str, Sequence[str]]:
        """Every entry's sealed texts."""
        ...

    async def reseal(self, entry: str, again: Callable[[str], str]) -> None:
        """Replace the entry's texts by what `again` makes of them, unless they have changed meanwhile."""
        ...


class SecretKeysView(Model):
    """The server's keys, and what is sealed under them."""

    source: str  # file: the key file; variable: FOUNDRY_SECRET_KEY
    keys: int
    newest: int  # entries that are sealed under the newest key
    older: int  # entries that are sealed under an older key
    unreadable: int  # entries that none of the keys opens


class SecretKeys:
    """What an administrator does with the keys.

    Args:
        sealer: seals and opens; it gets new keys from here.
        stores: everything that keeps sealed texts.
        material: what the keys were read from.
        path: the key file. None: the keys are in FOUNDRY_SECRET_KEY.
        alone: True if no other server uses the database, which would not know a key that is added here.
    """

    def __init__(
        self,
        sealer: Sealer,
        stores: Sequence[SealedStore],
        material: bytes,
        path: Path | None,
        alone: Callable[[], Awaitable[bool]],
    ) -> None:
        self._sealer, self._stores, self._path, self._alone = sealer, stores, path, alone
        self._material = material
        self._changing = asyncio.Lock()

    async def view(self) -> SecretKeysView:
        counts = {under: 0 for under in SealedUnder}
        for store in self._stores:
            for texts in (await store.texts()).values():
                counts[self._under(texts)] += 1
        separator = b"," if self._path is None else b"\n"
        return SecretKeysView(
            source="variable" if self._path is None else "file",
            keys=max(1, len(keys_in(self._material, separator)) - 1),  # the whole counts among several
            newest=counts[SealedUnder.NEWEST],
            older=counts[SealedUnder.OLDER],
            unreadable=counts[SealedUnder.UNKNOWN],
        )

    async def add(self) -> SecretKeysView:
        """Put a fresh key in front.

        Raises:
            WrongState: the keys are not in a file of this server alone.
        """
        async with self._changing:
            path = await self._file()
            self._use(await asyncio.to_thread(put_key_in_front, path))
            log.info("a new secret key seals from now on", path=str(path))
        return await self.view()

    async def reseal(self, limit: int = BATCH) -> SecretKeysView:
        """Seal at most `limit` entries again, that are sealed under an older key."""
        async with self._changing:
            left = limit
            for store in self._stores:
                for entry, texts in (await store.texts()).items():
                    if left and self._under(texts) is SealedUnder.OLDER:
                        await store.reseal(entry, self._again)
                        left -= 1
        return await self.view()

    async def drop(self) -> SecretKeysView:
        """Forget all keys but the newest.

        Raises:
            WrongState: something is sealed under an older key, or the keys are not in a file of this server alone.
        """
        async with self._changing:
            path = await self._file()
            older = (await self.view()).older
            if older:
                raise WrongState(
                    f"{older} secrets are sealed under an older key", remedy="Run `foundry config rotate-key` first."
                )
            self._use(await asyncio.to_thread(drop_old_keys, path))
            log.info("older secret keys were dropped", path=str(path))
        return await self.view()

    async def _file(self) -> Path:
        if self._path is None:
            raise WrongState(
                "the keys are in FOUNDRY_SECRET_KEY, which the server cannot change",
                remedy="Change the variable: the new key first, then a comma and the old key. Restart each server.",
            )
        if not await self._alone():
            raise WrongState(
                "other servers use the same database, and would not know a key that is added to this server's file",
                remedy="Set FOUNDRY_SECRET_KEY on each server to the file's keys, with commas between them.",
            )
        return self._path

    def _use(self, material: bytes) -> None:
        self._material = material
        self._sealer.replace(keys_in(material, b"\n"))

    def _under(self, texts: Sequence[str]) -> SealedUnder:
        found = {self._sealer.under(text) for text in texts}
        for under in (SealedUnder.OLDER, SealedUnder.UNKNOWN):
            if under in found:
                return under
        return SealedUnder.NEWEST

    def _again(self, sealed: str) -> str:
        """The same text under the newest key; unchanged if no key opens it."""
        return (
            self._sealer.seal(self._sealer.unseal(sealed))
            if self._sealer.under(sealed) is SealedUnder.OLDER
            else sealed
        )
