"""Finds and ends the processes of a demo.

A demo's servers have the demo's directory in their environment (`MARK`). The processes of its sandboxes have the
sandbox's directory there (`foundry.sandboxes.local.processes`). No other process is ended. A running demo holds a lock
on its directory, so `--clean` and other demos do not end its processes.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foundry.sandboxes.local import processes

MARK = "FOUNDRY_DEMO"  # environment variable of a demo's servers; its value is the demo's directory
SERVERS_LIMIT = 15.0  # seconds between SIGTERM and SIGKILL; Foundry's own limit is 10


class DemoRuns(Exception):
    """A demo is already running in the directory. The text names its process."""


class SandboxesLeft(Exception):
    """Some or all sandboxes were not ended. The text says why."""


@contextmanager
def only_demo(home: Path) -> Iterator[None]:
    """Keep other demos out of the directory. Raises DemoRuns."""
    with (home / "demo.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            remedy = f"Stop it with Ctrl-C or `kill {holder}`, or use another --data-dir."
            raise DemoRuns(f"a demo (process {holder}) is already running in {home}. {remedy}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def end_servers(home: Path) -> int:
    """End the servers that a killed demo left running. Returns their number."""
    wanted = str(home)

    def living() -> set[int]:
        return {pid for pid, value in processes.carrying(MARK).items() if value == wanted}

    return len(processes.end_all(living, SERVERS_LIMIT).found)


def end_sandboxes(home: Path) -> str:
    """End all processes of the demo's sandboxes. Returns a text with their numbers; empty if nothing ran.

    Raises:
        SandboxesLeft: another Foundry uses the data directory, or some processes do not exit.
    """
    from foundry.runtime.store.sqlite import DataDirectoryTaken, lock_directory
    from foundry.sandboxes.local.provider import end_all

    data = home / "data"
    if not data.is_dir():
        return ""
    try:
        lock = lock_directory(data)
    except DataDirectoryTaken as taken:
        raise SandboxesLeft(f"the sandboxes keep running, because {taken.detail}") from None
    with lock:
        ended = end_all(data)
    if ended.left:
        pids = ", ".join(map(str, sorted(ended.left)))
        raise SandboxesLeft(f"some processes of the sandboxes do not exit, even after SIGKILL: {pids}")
    if not ended.sandboxes:
        return ""
    return f"{counted(len(ended.sandboxes), 'sandbox', 'es')} ({counted(ended.processes, 'process', 'es')})"


def counted(number: int, what: str, plural: str) -> str:
    """Return a number and its noun, such as "2 servers"."""
    return f"{number} {what}{plural if number != 1 else ''}"
