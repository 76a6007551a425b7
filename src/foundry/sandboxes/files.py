"""Files in a sandbox, through sandbox-agent. A path is absolute or relative to the sandbox's home."""

from __future__ import annotations

from dataclasses import dataclass

import httpx2 as httpx

from foundry.contracts.sandbox_provider import SandboxRefused
from foundry.sandboxes.calls import Calls

QUIET = 30.0  # seconds without a byte of a file


@dataclass(frozen=True)
class FileInfo:
    path: str
    size: int  # bytes


class Files:
    """The files API. Raises SandboxPathMissing if the path does not exist."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def read(self, path: str) -> bytes:
        return await self._calls.ask("GET", "/v1/fs/file", params={"path": path}) or b""

    async def read_at_most(self, path: str, limit: int) -> bytes:
        """Read a file that an agent may have written, up to `limit` bytes.

        Raises:
            SandboxRefused: the file is longer.
        """
        content = bytearray()
        try:
            async with self._calls.stream("/v1/fs/file", headers={}, params={"path": path}, quiet=QUIET) as answer:
                await self._calls.check(answer)
                async for piece in answer.aiter_bytes():
                    content += piece
                    if len(content) > limit:
                        raise SandboxRefused(f"{path} is longer than {limit} bytes")
        except httpx.TransportError as error:
            raise self._calls.unreachable(error) from error
        return bytes(content)

    async def write(self, path: str, content: bytes) -> None:
        """Write a file. Missing directories are created."""
        await self._calls.ask("PUT", "/v1/fs/file", params={"path": path}, content=content)

    async def list(self, path: str) -> list[FileInfo]:
        found = await self._calls.ask("GET", "/v1/fs/entries", params={"path": path})
        return [FileInfo(entry["path"], entry["size"]) for entry in found]

    async def delete(self, path: str, *, recursive: bool = False) -> None:
        params = {"path": path, "recursive": "true" if recursive else "false"}
        await self._calls.ask("DELETE", "/v1/fs/entry", params=params)
