"""What runs on this machine for a sandbox: recognised by more than a pid, and ended for sure.

A process is one's own if it is in the session that Foundry started (pid and start time match), or if its environment
carries the sandbox's mark: that finds what a Foundry killed between start and record left, and what left its session.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

MARK = "FOUNDRY_SANDBOX"  # in the environment of all that a sandbox runs: its directory
TERM_LIMIT = 2.0  # seconds between SIGTERM and SIGKILL
KILL_LIMIT = 5.0  # seconds after SIGKILL; more means a process that the kernel holds


class Seen(NamedTuple):
    state: str  # of /proc/<pid>/stat; Z is a zombie
    session: int
    started: int  # clock ticks since boot


class Ended(NamedTuple):
    """Pids: all that were found and told to end, and those that run all the same."""

    found: set[int]
    left: set[int]


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
    found: set[int] = set()
    for one, seen in _others():
        in_session = ours and seen.session == pid and since is not None and seen.started >= since
        if in_session or str(mark) in _variable(one, MARK):
            found.add(one)
    return found


def carrying(name: str) -> dict[int, str]:
    """Every running process but this one that has the variable in its environment, with the variable's value."""
    return {pid: values[0] for pid, _ in _others() if (values := _variable(pid, name))}


def end(mark: Path, pid: int | None, since: int | None) -> bool:
    """SIGTERM all of it, SIGKILL what is left, and wait until nothing is; whether that worked."""
    return not end_all(lambda: belonging(mark, pid, since)).left


def end_all(find: Callable[[], set[int]], term_limit: float = TERM_LIMIT) -> Ended:
    """End what `find` finds, until it finds nothing: SIGTERM, and SIGKILL after `term_limit` seconds."""
    found: set[int] = set()
    living: set[int] = set()
    for how, limit in ((signal.SIGTERM, term_limit), (signal.SIGKILL, KILL_LIMIT)):
        until = time.monotonic() + limit
        told: set[int] = set()
        while living := find():
            for one in living - told:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(one, how)
            told |= living
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        found |= told
        if not living:
            break
    return Ended(found, living)


def _others() -> Iterator[tuple[int, Seen]]:
    """All that runs on this machine, but this process."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            seen = look(int(name))
            if seen is not None and seen.state not in "ZX":
                yield int(name), seen


def _variable(pid: int, name: str) -> list[str]:
    """The values that a process's environment has for it; none also where it may not be looked at."""
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
    begin = f"{name}=".encode()
    return [os.fsdecode(word.removeprefix(begin)) for word in words if word.startswith(begin)]


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
