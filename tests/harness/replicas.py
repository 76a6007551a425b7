"""Foundry's real processes under a test's hand: start, kill, freeze, start again.

A forkserver that has imported everything makes each life cheap: a start costs what Foundry's own start costs.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import httpx2 as httpx

from foundry import app
from foundry.contracts.errors import FoundryError
from foundry.settings import Settings
from tests.harness.child import settings_for
from tests.harness.traps import Traps, spring

ROOT = Path(__file__).parents[2]
START_LIMIT = 60.0  # seconds until a replica answers; 2 busy cores

_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tests.harness.replicas"])


_kept: list[socket.socket] = []  # until this process ends


def own_port() -> int:
    """A free port that nobody else gets while its server is down: a socket that does not listen stays bound to it."""
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind(("127.0.0.1", 0))
    _kept.append(kept)
    return kept.getsockname()[1]


def live(settings: dict[str, Any], log: str, traps: Traps | None) -> None:
    """One life of a replica; its words go to `log`."""
    with open(log, "a", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if traps:
        spring(traps)
    try:
        app.serve(Settings.model_validate(settings))
    except FoundryError as refusal:
        print(f"{refusal.detail} {refusal.remedy}")
    sys.stdout.flush()


LIFE = "import pickle, sys; from tests.harness.replicas import live; live(*pickle.load(open(sys.argv[1], 'rb')))"


class Spawned:
    """A life from other sources than the tests' own, of another release; what `Replica` uses of a process.

    Args:
        source: has `foundry`, and may have the `tests` of its release.
    """

    def __init__(self, source: Path, given: Path) -> None:
        root = source.parent if (source.parent / "tests").exists() else ROOT
        path = os.pathsep.join([str(source), str(root)])
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen([sys.executable, "-c", LIFE, str(given)], cwd=root, env=environment)
        self.pid = self._process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def join(self, limit: float) -> None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(limit)

    def kill(self) -> None:
        self._process.kill()


class Replica:
    """One Foundry that can be had again and again, on one port; from `source`, if that is given."""

    def __init__(
        self, home: Path, name: str = "foundry", traps: Traps | None = None, source: Path | None = None, **changes: Any
    ) -> None:
        self.name, self.port, self.traps = name, own_port(), traps
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / f"{name}.log"
        given = settings_for(home, host="127.0.0.1", port=self.port, **changes)
        # secrets as they are: a dump would mask them
        self._settings = {key: getattr(given, key) for key in given.model_fields_set}  # an older release has fewer
        self._source, self._given = source, home / f"{name}.pickle"
        self.process: BaseProcess | Spawned | None = None
        self.frozen = False

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.is_alive()

    def start(self) -> None:
        """A new life; it may not answer yet."""
        assert not self.lives
        given = (self._settings, str(self.log), self.traps)
        if self._source:
            self._given.write_bytes(pickle.dumps(given))
            self.process = Spawned(self._source, self._given)
        else:
            self.process = process = _forks.Process(target=live, args=given, name=self.name)
            process.start()
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
