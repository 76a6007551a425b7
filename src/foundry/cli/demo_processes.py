"""What runs for a demo, found and ended.

A demo's servers carry the demo's directory in their environment (`MARK`), and the processes of its sandboxes carry
theirs (`foundry.sandboxes.local.processes`). Nothing else is ended. While a demo runs it holds a lock on its directory,
so nobody takes what it needs for something left over.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from foundry.sandboxes.local import processes

MARK = "FOUNDRY_DEMO"  # in the environment of a demo's servers: the demo's directory
SERVERS_LIMIT = 15.0  # seconds that servers get between SIGTERM and SIGKILL; Foundry's own limit is 10


class DemoRuns(Exception):
    """A demo runs in the directory; the text names its process."""


class SandboxesLeft(Exception):
    """Sandboxes were not ended, or not all of them; the text says why."""


@contextmanager
def only_demo(home: Path) -> Iterator[None]:
    """Keep other demos out of the directory. Raises DemoRuns."""
    with (home / "demo.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            remedy = f"end it with Ctrl-C or `kill {holder}`, or use another --data-dir"
            raise DemoRuns(f"a demo (process {holder}) runs in {home}; {remedy}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def end_servers(home: Path) -> int:
    """End the servers of a demo that was killed; how many there were."""
    wanted = str(home)

    def living() -> set[int]:
        return {pid for pid, value in processes.carrying(MARK).items() if value == wanted}

    return len(processes.end_all(living, SERVERS_LIMIT).found)


def end_sandboxes(home: Path) -> str:
    """End all that runs in the demo's sandboxes; what was ended, in words, empty if nothing ran.

    Raises:
        SandboxesLeft: another Foundry uses the data directory, or some processes do not end.
    """
    from foundry.runtime.store.sqlite import DataDirectoryTaken, lock_directory
    from foundry.sandboxes.local.provider import end_all

    data = home / "data"
    if not data.is_dir():
        return ""
    try:
        lock = lock_directory(data)
    except DataDirectoryTaken as taken:
        raise SandboxesLeft(f"the sandboxes run on, since {taken.detail}") from None
    with lock:
        ended = end_all(data)
    if ended.left:
        pids = ", ".join(map(str, sorted(ended.left)))
        raise SandboxesLeft(f"some processes of the sandboxes do not end, even by SIGKILL: {pids}")
    if not ended.sandboxes:
        return ""
    return f"{counted(len(ended.sandboxes), 'sandbox', 'es')} ({counted(ended.processes, 'process', 'es')})"


def counted(number: int, what: str, plural: str) -> str:
    """A number and what there is so many of, e.g. "2 servers"."""
    return f"{number} {what}{plural if number != 1 else ''}"
