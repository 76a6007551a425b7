"""What a sandbox's files take, and what is left beside them.

Measured by `du`, in a process of its own at the lowest priority: a sandbox may hold hundreds of thousands of files, and
neither the event loop nor the interpreter's lock should feel that. It counts blocks, so a sparse file is as small as it
is; it counts what has several names once; it follows no link and enters no other file system.
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
    """The bytes on disk of a directory and all in it, but for what may not be read; None: there is none, `du` is
    missing, or it took longer than `limit` seconds."""
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
    number = out.partition(b"\t")[0]  # it gives a sum also where it could not read all
    return int(number) * 1024 if number.isdigit() else None


async def room(folder: Path) -> Room | None:
    """What is left of the file system that a directory is on; None: there is no such directory."""
    try:
        found = await asyncio.to_thread(shutil.disk_usage, folder)
    except FileNotFoundError:
        return None
    return Room(free=found.free, total=found.total)
