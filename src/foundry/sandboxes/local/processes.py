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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

MARK = "FOUNDRY_SANDBOX"  # environment variable of all processes of a sandbox; its value is the directory
TERM_LIMIT = 2.0  # seconds between SIGTERM and SIGKILL
KILL_LIMIT = 5.0  # seconds after SIGKILL; a process that runs longer is stuck in the kernel


class Seen(NamedTuple):
    state: str  # of /proc/<pid>/stat; Z is a zombie
    session: int
    started: int  # clock ticks since boot


class Ended(NamedTuple):
    """Pids: `found` are all processes that got a signal, `left` are those that still run."""

    found: set[int]
    left: set[int]


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
    found: set[int] = set()
    for one, seen in _others():
        in_session = ours and seen.session == pid and since is not None and seen.started >= since
        if in_session or str(mark) in _variable(one, MARK):
            found.add(one)
    return found


def carrying(name: str) -> dict[int, str]:
    """Return the pids of other processes that have this environment variable, each with the variable's value."""
    return {pid: values[0] for pid, _ in _others() if (values := _variable(pid, name))}


def end(mark: Path, pid: int | None, since: int | None) -> bool:
    """Send SIGTERM to all processes, SIGKILL to the remaining ones, and wait. Returns True if all have exited."""
    return not end_all(lambda: belonging(mark, pid, since)).left


def end_all(find: Callable[[], set[int]], term_limit: float = TERM_LIMIT) -> Ended:
    """End the processes that `find` returns until it returns none: SIGTERM, and SIGKILL after `term_limit` seconds."""
    found: set[int] = set()
    living: set[int] = set()
    for how, limit in ((signal.SIGTERM, term_limit), (signal.SIGKILL, KILL_LIMIT)):
        until = time.monotonic() + limit
        signalled: set[int] = set()
        while living := find():
            for one in living - signalled:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(one, how)
            signalled |= living
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        found |= signalled
        if not living:
            break
    return Ended(found, living)


def _others() -> Iterator[tuple[int, Seen]]:
    """Yield all running processes of this machine except this one."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            seen = look(int(name))
            if seen is not None and seen.state not in "ZX":
                yield int(name), seen


def _variable(pid: int, name: str) -> list[str]:
    """Return the variable's values in a process's environment. Empty if the environment is not readable."""
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
    begin = f"{name}=".encode()
    return [os.fsdecode(word.removeprefix(begin)) for word in words if word.startswith(begin)]


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
