"""The servers that `foundry demo` starts as child processes and restarts when they exit."""

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

STOP_LIMIT = 20.0  # seconds that a server may take for a graceful stop
ENDS_ALLOWED = 3  # exits within ENDS_WINDOW; a server that exits more often is not restarted
ENDS_WINDOW = 60.0  # seconds


class ServerFailed(Exception):
    """A server did not start, or exits again and again. The text names the server, the reason and its log."""


class ChildServer:
    """One server process. `ready` returns the address in a line of its output, or None for a line to show."""

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
        """Start the server and wait until it prints its address. Raises ServerFailed."""
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
        raise ServerFailed(f"{self.name} did not start: {self._last_line()} (full log: {self._log})")

    def keep_up(self) -> None:
        """Restart the server if it has exited, and print that. Raises ServerFailed when it exits too often."""
        if self._process is None or (code := self._process.poll()) is None:
            return
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with status {code}"
        now = time.monotonic()
        if len(self._ends) == ENDS_ALLOWED and now - self._ends[0] < ENDS_WINDOW:
            raise ServerFailed(
                f"{self.name} exited {how}, again and again: {self._last_line()} (full log: {self._log})"
            )
        self._ends.append(now)
        typer.echo(f"demo: {self.name} exited {how}; restarting it")
        self.start()
        typer.echo(f"demo: {self.name} is back; its work continues")

    def stop(self) -> None:
        """Stop the server gracefully; kill it after STOP_LIMIT or at the next Ctrl-C."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_LIMIT)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            typer.echo(f"demo: {self.name} did not stop in time; it was killed", err=True)
            self._process.wait()

    def _last_line(self) -> str:
        lines = [line for line in self._log.read_text().splitlines() if line.strip()]
        return lines[-1] if lines else "its log is empty"


def free_port(wanted: int = 0) -> int | None:
    """Return this port if nothing listens on it at 127.0.0.1, else None. 0 means any free port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return None
        return probe.getsockname()[1]


def _die_with_parent() -> None:
    """On Linux, exit when the demo exits, even by kill -9, so that the next demo finds the data directory free."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the demo handles Ctrl-C and stops us gracefully
