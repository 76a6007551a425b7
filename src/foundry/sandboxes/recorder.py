"""The recorder: a process inside the sandbox that records an agent's stream, independent of other readers.

sandbox-agent 0.4.2 keeps the last 1,024 messages of a stream. The recorder keeps the last `HELD` bytes in the sandbox's
home. After Foundry was away, it reads from there what sandbox-agent no longer has.

- The recorder is a bash script, because bash opens connections without other programs (`/dev/tcp`). sandbox-agent's own
  client accepts its token only as an argument, and curl is not installed everywhere. HTTP/1.0 keeps the stream
  unchunked.
- The token arrives on standard input: not in argv, not in the environment, not on disk.
- The stream is written unchanged into segments named `NUMBER-AFTER`, which contain the events after the id AFTER. A
  segment may end inside an event. The next segment continues there, or starts with an empty line after a reconnect.
- The recorder ends when its server id is deleted or sandbox-agent no longer answers. A lock ensures that only one
  recorder writes.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from foundry.contracts.sandbox_provider import SandboxPathMissing, SandboxRefused
from foundry.contracts.session_stream import StreamItem, made_of
from foundry.sandboxes.files import FileInfo, Files
from foundry.sandboxes.processes import Processes, ProcessInfo
from foundry.sandboxes.scripts import script
from foundry.sandboxes.sse import ServerSentEvent, events

FOLDER = ".local/share/foundry/streams"  # in the sandbox's home
BLOCK = 4096  # bytes written at once, at most
SEGMENT = 1024  # blocks; a segment is read in one piece
LONGEST = 2 * BLOCK * SEGMENT  # bytes; the recorder writes no longer file
HELD = 64 * 1024 * 1024  # bytes of one stream; the oldest segments are removed
EVENT_LIMIT = 16 * 1024 * 1024  # bytes; a longer line is not an event of sandbox-agent
START_LIMIT = 10.0  # seconds until the recorder reads the stream
NAME = "foundry-recorder"
RECORDING = b"recording\n"  # the recorder's output once it reads the stream

SCRIPT = script("recorder")


class Recorder:
    """Starts recorders and reads their recordings.

    Args:
        token: sandbox-agent's token.
    """

    def __init__(self, processes: Processes, files: Files, token: str) -> None:
        self._processes = processes
        self._files = files
        self._token = token

    async def start(self, server_id: str, *, segment: int = SEGMENT, held: int = HELD) -> None:
        """Return once this server's stream is being recorded. A running recorder is reused.

        Raises:
            SandboxRefused: the recorder does not start here; the detail has its message.
        """
        running = next((one for one in await self._recorders() if one.args[3] == server_id and one.running), None)
        if running is None:
            numbers = map(str, (BLOCK, segment, held))
            arguments = ["-c", SCRIPT, NAME, server_id, f"{FOLDER}/{server_id}", *numbers]
            running = await self._processes.start("/bin/bash", arguments)
            await self._processes.write(running.id, f"{self._token}\n".encode())
        end = time.monotonic() + START_LIMIT
        while True:
            lives = (await self._processes.get(running.id)).running
            said = await self._processes.logs(running.id)
            if RECORDING in said:
                return
            if not lives or time.monotonic() > end:
                raise SandboxRefused(f"the recorder of {server_id} did not start: {said.decode(errors='replace')}")
            await asyncio.sleep(0.05)

    async def recorded(self, server_id: str, after: int) -> AsyncIterator[StreamItem]:
        """Yield the recorded events after this id, in order and each once. Ids may jump."""
        async for event in events(self._lines(server_id, after)):
            item = _item(event)
            if item is not None and item.event_id > after:
                after = item.event_id
                yield item

    async def forget(self, server_id: str) -> None:
        """End this server's recorder and remove its recording. A missing one is not an error.

        Args:
            server_id: of one server, or a chosen one: then those of all servers that were made of it.
        """
        for one in await self._recorders():
            if made_of(one.args[3], server_id):
                if one.running:
                    await self._processes.kill(one.id)
                await self._processes.forget(one.id)
        with suppress(SandboxPathMissing):
            for folder in await self._files.list(FOLDER):
                if made_of(folder.path.rpartition("/")[2], server_id):
                    await self._files.delete(folder.path, recursive=True)

    async def _recorders(self) -> list[ProcessInfo]:
        return [one for one in await self._processes.list() if one.args[2:3] == [NAME]]

    async def _lines(self, server_id: str, after: int) -> AsyncIterator[str]:
        """Read segment by segment, so that only one is in memory at a time.

        Yields nothing if there is no recording. Skips a segment that is removed meanwhile, which leaves a jump in ids.
        """
        try:
            held = await self._files.list(f"{FOLDER}/{server_id}")
        except SandboxPathMissing:
            return
        cut = b""
        for path in segments_after(held, after):
            try:
                *whole, cut = (cut + await self._files.read_at_most(path, LONGEST)).split(b"\n")
            except SandboxPathMissing:  # removed meanwhile
                continue
            for line in whole:
                yield line.decode(errors="replace")
            cut = cut if len(cut) < EVENT_LIMIT else b""


def segments_after(held: Sequence[FileInfo], after: int) -> list[str]:
    """Return the paths of the segments with the events after this id, in order. Files that are too long are skipped.

    The id in a segment's name is the id of the last event that started before the segment, or one less.
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
    """Return None for an incomplete event: its connection broke, or its beginning was removed."""
    try:
        return StreamItem.model_validate({"event_id": int(event.id), "message": json.loads(event.data)})
    except ValueError:
        return None
