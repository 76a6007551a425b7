"""The recorder: a process inside the sandbox that writes an agent's stream down, whoever else reads it.

sandbox-agent 0.4.2 keeps the last 1,024 messages of a stream. The recorder keeps `HELD` bytes of them in the sandbox's
home, so that a Foundry that was away reads there what sandbox-agent no longer has.

- It is bash, since bash opens a connection by itself (`/dev/tcp`); sandbox-agent's own client takes its token as an
  argument only, and curl is not everywhere. HTTP/1.0, so that the stream comes as it is, not in chunks.
- The token comes by its standard input: not in argv, not in its environment, not on disk.
- The stream is written as it comes, into segments `NUMBER-AFTER`: events after the id AFTER begin in it. A segment may
  end within an event; the next one goes on there, or begins with an empty line if the connection is another one.
- It ends with its server id, or when nobody listens any more. One at a time writes, by a lock.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence

from foundry.contracts.sandbox_provider import SandboxPathMissing, SandboxRefused
from foundry.contracts.session_stream import StreamItem
from foundry.sandboxes.files import FileInfo, Files
from foundry.sandboxes.processes import Processes, ProcessInfo
from foundry.sandboxes.scripts import script
from foundry.sandboxes.sse import ServerSentEvent, events

FOLDER = ".local/share/foundry/streams"  # in the sandbox's home
BLOCK = 4096  # bytes written at once, at most
SEGMENT = 1024  # blocks; a segment is read in one piece
LONGEST = 2 * BLOCK * SEGMENT  # bytes; what is longer is not the recorder's
HELD = 64 * 1024 * 1024  # bytes of one stream; the oldest segments go
EVENT_LIMIT = 16 * 1024 * 1024  # bytes; a longer line is no event of sandbox-agent's
START_LIMIT = 10.0  # seconds until it has the stream
NAME = "foundry-recorder"
RECORDING = b"recording\n"  # what it says once it has the stream

SCRIPT = script("recorder")


class Recorder:
    """Starts recorders, and reads what they wrote.

    Args:
        token: sandbox-agent's.
    """

    def __init__(self, processes: Processes, files: Files, token: str) -> None:
        self._processes = processes
        self._files = files
        self._token = token

    async def start(self, server_id: str, *, segment: int = SEGMENT, held: int = HELD) -> None:
        """Return once this server's stream is being recorded; a recorder that runs already is kept.

        Raises:
            SandboxRefused: it does not start here; the detail has its own words.
        """
        running = next((one for one in await self._recorders(server_id) if one.running), None)
        if running is None:
            numbers = map(str, (BLOCK, segment, held))
            arguments = ["-c", SCRIPT, NAME, server_id, f"{FOLDER}/{server_id}", *numbers]
            running = await self._processes.start("/bin/bash", arguments)
            await self._processes.write(running.id, f"{self._token}\n".encode())
        end = time.monotonic() + START_LIMIT
        while True:
            lives = (await self._processes.get(running.id)).running
            said = await self._said(running)
            if RECORDING in said:
                return
            if not lives or time.monotonic() > end:
                raise SandboxRefused(f"the recorder of {server_id} does not record: {said.decode(errors='replace')}")
            await asyncio.sleep(0.05)

    async def recorded(self, server_id: str, after: int) -> AsyncIterator[StreamItem]:
        """The events after this id that are held, in order and each once; there may be jumps between them."""
        async for event in events(self._lines(server_id, after)):
            item = _item(event)
            if item is not None and item.event_id > after:
                after = item.event_id
                yield item

    async def forget(self, server_id: str) -> None:
        """End this server's recorder and remove what it wrote; nothing there is no error."""
        for one in await self._recorders(server_id):
            if one.running:
                await self._processes.kill(one.id)
            await self._processes.forget(one.id)
        try:
            await self._files.delete(f"{FOLDER}/{server_id}", recursive=True)
        except SandboxPathMissing:
            return

    async def _recorders(self, server_id: str) -> list[ProcessInfo]:
        return [one for one in await self._processes.list() if one.args[2:4] == [NAME, server_id]]

    async def _said(self, process: ProcessInfo) -> bytes:
        return b"".join(entry.data for entry in await self._processes.logs(process.id))

    async def _lines(self, server_id: str, after: int) -> AsyncIterator[str]:
        """Of one segment after the other, so that one is in memory at a time.

        None where there is no recording, or where a segment was let go just then: look again.
        """
        try:
            held = await self._files.list(f"{FOLDER}/{server_id}")
        except SandboxPathMissing:
            return
        cut = b""
        for path in segments_after(held, after):
            try:
                *whole, cut = (cut + await self._files.read_at_most(path, LONGEST)).split(b"\n")
            except SandboxPathMissing:  # let go of meanwhile
                continue
            for line in whole:
                yield line.decode(errors="replace")
            cut = cut if len(cut) < EVENT_LIMIT else b""


def segments_after(held: Sequence[FileInfo], after: int) -> list[str]:
    """The paths of the segments in which the events after this id are, in order; files that are too long are left out.

    The id in a name is that of the last event which had begun before, or one less.
    """
    found: list[tuple[int, int, str]] = []
    for one in held:
        number, _, begins = one.path.rpartition("/")[2].partition("-")
        if number.isdecimal() and begins.isdecimal() and one.size <= LONGEST:
            found.append((int(number), int(begins), one.path))
    found.sort()
    first = max((at for at, (_, begins, _) in enumerate(found) if begins < after), default=0)
    return [path for _, _, path in found[first:]]


def _item(event: ServerSentEvent) -> StreamItem | None:
    """None: not whole, because its connection ended within it or its beginning is no longer held."""
    try:
        return StreamItem.model_validate({"event_id": int(event.id), "message": json.loads(event.data)})
    except ValueError:
        return None
