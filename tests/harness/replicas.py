"""Foundry's real processes under a test's hand: start, kill, freeze, start again.

A forkserver that has imported everything makes each life cheap: a start costs what Foundry's own start costs.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx

from foundry import app
from foundry.settings import Settings
from tests.harness.child import settings_for
from tests.harness.traps import Traps, spring

START_LIMIT = 60.0  # seconds until a replica answers; 2 busy cores

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tests.harness.replicas"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def live(settings: dict[str, Any], log: str, traps: Traps | None) -> None:
    """One life of a replica; its words go to `log`."""
    with open(log, "a", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if traps:
        spring(traps)
    app.serve(Settings.model_validate(settings))
    sys.stdout.flush()


class Replica:
    """One Foundry that can be had again and again, on one port."""

    def __init__(self, home: Path, name: str = "foundry", traps: Traps | None = None, **changes: Any) -> None:
        self.name, self.port, self.traps = name, free_port(), traps
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / f"{name}.log"
        given = settings_for(home, host="127.0.0.1", port=self.port, **changes)
        # secrets as they are: a dump would mask them
        self._settings = {key: getattr(given, key) for key in type(given).model_fields}
        self.process: BaseProcess | None = None
        self.frozen = False

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.is_alive()

    def start(self) -> None:
        """A new life; it may not answer yet."""
        assert not self.lives
        self.process = _forks.Process(target=live, args=(self._settings, str(self.log), self.traps), name=self.name)
        self.process.start()
        self.frozen = False

    def ready(self, limit: float = START_LIMIT) -> float:
        """Wait until it takes requests; gives the seconds that took, -1 if it ended instead."""
        began = time.monotonic()
        while time.monotonic() - began < limit:
            if not self.lives:
                return -1
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2, trust_env=False).is_success:
                    return time.monotonic() - began
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"{self.name} does not answer after {limit} s; {self.log} says: {self.last_words()}")

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:]) if self.log.exists() else ""

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._gone()

    def stop(self, limit: float = 25.0) -> None:
        """As Ctrl-C or an operator's SIGTERM does."""
        self.thaw()
        self._signal(signal.SIGTERM)
        self._gone(limit)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        if self.frozen:
            self._signal(signal.SIGCONT)
            self.frozen = False

    def _signal(self, number: int) -> None:
        if self.process is not None and self.process.pid is not None and self.process.is_alive():
            os.kill(self.process.pid, number)

    def _gone(self, limit: float = 10.0) -> None:
        if self.process is None:
            return
        self.process.join(limit)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(5)
            raise AssertionError(f"{self.name} did not end within {limit} s; {self.last_words()}")
        self.frozen = False
