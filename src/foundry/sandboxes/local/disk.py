"""Disk usage of a sandbox's files, and the free space on their disk.

`du` measures it in a separate process at the lowest priority: a sandbox may have hundreds of thousands of files, and
measuring must not block the event loop or the interpreter's lock. `du` counts blocks, so a sparse file counts only what
it occupies. It counts a file with several hard links once, follows no links, and enters no other file system.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from pathlib import Path

from foundry.contracts.sandbox_provider import Room

MEASURE_LIMIT = 60.0  # seconds; some millions of files, on a cold disk


async def usage(folder: Path, limit: float = MEASURE_LIMIT) -> int | None:
    """Return the bytes on disk of a directory and its content, without unreadable parts. None if the directory does not
    exist, `du` is missing, or measuring took longer than `limit` seconds."""
    command = ("nice", "-n", "19", "du", "-skx", "--", str(folder))
    quiet = subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(*command, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet)
    except FileNotFoundError:
        return None
    try:
        async with asyncio.timeout(limit):
            out, _ = await process.communicate()
    except TimeoutError:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            if process.returncode is None:
                process.kill()
                await process.wait()
    number = out.partition(b"\t")[0]  # `du` prints a sum even if it could not read everything
    return int(number) * 1024 if number.isdigit() else None


async def room(folder: Path) -> Room | None:
    """Return the free space of the file system that a directory is on, or None if the directory does not exist."""
    try:
        found = await asyncio.to_thread(shutil.disk_usage, folder)
    except FileNotFoundError:
        return None
    return Room(free=found.free, total=found.total)
