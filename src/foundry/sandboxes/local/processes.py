"""Finds and ends the processes of a sandbox on this machine. A pid alone does not identify a process.

A process belongs to a sandbox if it is in the session that Foundry started (pid and start time match), or if its
environment has the sandbox's mark. The mark finds processes whose Foundry was killed before it recorded them, and
processes that left their session.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

MARK = "FOUNDRY_SANDBOX"  # environment variable of all processes of a sandbox; its value is the directory
TERM_LIMIT = 2.0  # seconds between SIGTERM and SIGKILL
KILL_LIMIT = 5.0  # seconds after SIGKILL; a process that runs longer is stuck in the kernel


class Seen(NamedTuple):
    state: str  # of /proc/<pid>/stat; Z is a zombie
    session: int
    started: int  # clock ticks since boot


def look(pid: int) -> Seen | None:
    """Read a process from /proc/<pid>/stat. None if it does not exist."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name in brackets may contain anything
    return Seen(fields[0], int(fields[3]), int(fields[19]))


def started(pid: int) -> int | None:
    """Return the process's start time, or None if it does not run."""
    seen = look(pid)
    return None if seen is None or seen.state in "ZX" else seen.started


def belonging(mark: Path, pid: int | None, since: int | None) -> set[int]:
    """Return the pids of all processes of a sandbox.

    Args:
        mark: the sandbox's directory.
        pid: pid of the session leader, if known; it may have exited.
        since: the leader's start time; another process with the same pid is not ours.
    """
    leader = look(pid) if pid else None
    ours = pid is not None and since is not None and (leader is None or leader.started == since)
    wanted = f"{MARK}={mark}".encode()
    found: set[int] = set()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        seen = look(int(name))
        if seen is None or seen.state in "ZX":
            continue
        if ours and seen.session == pid and since is not None and seen.started >= since:
            found.add(int(name))
            continue
        with contextlib.suppress(OSError):
            if wanted in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                found.add(int(name))
    return found


def end(mark: Path, pid: int | None, since: int | None) -> bool:
    """Send SIGTERM to all processes, SIGKILL to the remaining ones, and wait. Returns True if all have exited."""
    for how, limit in ((signal.SIGTERM, TERM_LIMIT), (signal.SIGKILL, KILL_LIMIT)):
        until = time.monotonic() + limit
        while True:
            living = belonging(mark, pid, since)
            if not living:
                return True
            for one in living:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(one, how)
            if time.monotonic() > until:
                break
            time.sleep(0.05)
    return False


def hide_argument(pid: int, secret: str) -> bool:
    """Overwrite an argument of a running process, so that `ps` does not show it. Returns True if it worked.

    sandbox-agent 0.4.2 accepts its token only as an argument, and has its own copy once it has read it. The command
    line that the kernel shows is the process's memory, which the user who started the process may write.
    """
    try:
        with open(f"/proc/{pid}/stat") as file:
            text = file.read()
        start, stop = (int(field) for field in text[text.rindex(")") + 2 :].split()[45:47])  # arg_start, arg_end
        if not start:
            return False
        with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
            memory.seek(start)
            at = memory.read(stop - start).find(secret.encode())
            if at < 0:
                return False
            memory.seek(start + at)
            memory.write(b"*" * len(secret))
    except (OSError, ValueError):
        return False
    return True
