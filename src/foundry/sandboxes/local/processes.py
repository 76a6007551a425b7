"""What runs on this machine for a sandbox: recognised by more than a pid, and ended for sure.

A process is one's own if it is in the session that Foundry started (pid and start time match), or if its environment
carries the sandbox's mark: that finds what a Foundry killed between start and record left, and what left its session.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import NamedTuple

MARK = "FOUNDRY_SANDBOX"  # in the environment of all that a sandbox runs: its directory
TERM_LIMIT = 2.0  # seconds between SIGTERM and SIGKILL
KILL_LIMIT = 5.0  # seconds after SIGKILL; more means a process that the kernel holds


class Seen(NamedTuple):
    state: str  # of /proc/<pid>/stat; Z is a zombie
    session: int
    started: int  # clock ticks since boot


def look(pid: int) -> Seen | None:
    """A process, from /proc/<pid>/stat; None if there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text[text.rindex(")") + 2 :].split()  # the name in brackets may hold anything
    return Seen(fields[0], int(fields[3]), int(fields[19]))


def started(pid: int) -> int | None:
    """When it was started; None if it does not run (any more)."""
    seen = look(pid)
    return None if seen is None or seen.state in "ZX" else seen.started


def belonging(mark: Path, pid: int | None, since: int | None) -> set[int]:
    """The pids of all that runs for a sandbox.

    Args:
        mark: the sandbox's directory.
        pid: of the session leader, if known; it may have ended.
        since: the leader's start time; another process with its pid is not ours.
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
    """SIGTERM all of it, SIGKILL what is left, and wait until nothing is; whether that worked."""
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
    """Overwrite an argument of a running process, as `ps` would show it; whether it worked.

    sandbox-agent 0.4.2 takes its token as an argument only, and keeps a copy of its own once it has read it. What the
    kernel shows as its command line is the process's memory, which the user who started it may write.
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
