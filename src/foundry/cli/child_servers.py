"""The servers that `foundry demo` starts as processes of its own, and keeps up."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import typer

STOP_LIMIT = 20.0  # seconds a server may take to end in order
ENDS_ALLOWED = 3  # within ENDS_WINDOW; one that ends more often than that is not started again
ENDS_WINDOW = 60.0  # seconds


class ServerFailed(Exception):
    """A server did not start, or ends again and again; the text says which, why, and where its log is."""


class Server:
    """One server process. `ready` reads its address from a line of its output, or answers None: a line to show."""

    def __init__(
        self,
        name: str,
        command: list[str],
        log: Path,
        ready: Callable[[str], str | None],
        env: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self._command = [sys.executable, "-m", *command]
        self._log = log
        self._ready = ready
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[str] | None = None
        self._ends: deque[float] = deque(maxlen=ENDS_ALLOWED)

    def start(self) -> str:
        """Start it and wait until it says its address. Raises ServerFailed."""
        with self._log.open("a" if self._ends else "w") as errors:
            self._process = subprocess.Popen(
                self._command,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=self._env,
                preexec_fn=_die_with_parent,
            )
        assert self._process.stdout
        for line in self._process.stdout:
            if (address := self._ready(line)) is not None:
                return address
            typer.echo(f"demo: {line.strip()}")
        raise ServerFailed(f"{self.name} did not start: {self._last_line()} (all of it: {self._log})")

    def keep_up(self) -> None:
        """Start it again if it has ended, and say so. Raises ServerFailed when it ends too often."""
        if self._process is None or (code := self._process.poll()) is None:
            return
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        now = time.monotonic()
        if len(self._ends) == ENDS_ALLOWED and now - self._ends[0] < ENDS_WINDOW:
            raise ServerFailed(
                f"{self.name} ended {how}, again and again: {self._last_line()} (all of it: {self._log})"
            )
        self._ends.append(now)
        typer.echo(f"demo: {self.name} was ended {how}; starting it again")
        self.start()
        typer.echo(f"demo: {self.name} is back; what it was doing goes on")

    def stop(self) -> None:
        """End it in order, or by force after STOP_LIMIT or at another Ctrl-C."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            typer.echo(f"demo: {self.name} did not stop in time and is killed", err=True)
            self._process.wait()

    def _last_line(self) -> str:
        lines = [line for line in self._log.read_text().splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"


def free_port(wanted: int = 0) -> int | None:
    """This port of 127.0.0.1 if nothing listens there, else None; 0: any that is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return None
        return probe.getsockname()[1]


def _die_with_parent() -> None:
    """Linux: end when the demo ends, even by kill -9, so that the next one finds the data directory free."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the demo's; it ends us in order
