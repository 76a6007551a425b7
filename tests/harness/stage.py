"""The stage of the crash tests: a stand-in GitHub, a Foundry that can be started, killed and started again."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from foundry.devkit.github import running_github
from foundry.sandboxes.local.provider import LocalProvider

START_LIMIT = 40.0  # seconds until a child says something; 2 busy cores


class Child:
    """One life of a Foundry."""

    def __init__(self, home: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "tests.harness.child", str(home), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.last: dict[str, Any] | None = None
        self._lines: Queue[dict[str, Any]] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith(("{", "null")):
                self._lines.put(json.loads(line))

    def until(self, holds: Callable[[dict[str, Any]], bool], limit: float = START_LIMIT) -> dict[str, Any]:
        """What the child shows once `holds` is true of it."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            try:
                self.last = self._lines.get(timeout=0.1)
            except Empty:
                if self.process.poll() is not None and self._lines.empty():
                    raise AssertionError(f"the child ended ({self.process.returncode}) at {self.last}") from None
                continue
            if self.last and holds(self.last):
                return self.last
        raise AssertionError(f"still {self.last} after {limit} s")

    def died(self, limit: float = START_LIMIT) -> int:
        """Wait for its end; gives the exit code, -9 for a kill."""
        return self.process.wait(limit)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise


@contextmanager
def stage(home: Path, cache: Path) -> Iterator[Path]:
    """A home with the stand-in running and sandbox-agent already installed; every sandbox is removed afterwards."""
    (home / "data").mkdir()
    (home / "data" / "sandbox-agent").symlink_to(cache / "sandbox-agent")
    try:
        with running_github(home / "github"):
            yield home
    finally:
        remove_sandboxes(home / "data")


def remove_sandboxes(data: Path) -> None:
    """End and delete every sandbox of this data directory: they outlive their Foundry."""
    provider = LocalProvider(data)

    async def clear() -> None:
        for sandbox in await provider.list():
            await provider.delete(sandbox)

    asyncio.run(clear())


def journal(home: Path, name: str = "journal") -> list[tuple[str, str, str, str, int]]:
    """(began or recorded, workflow id, workflow, step, number), in order."""
    lines = (home / name).read_text().splitlines()
    return [(k, i, w, s, int(n)) for k, i, w, s, n, _ in (line.split("\t") for line in lines)]


def ran_again(home: Path, name: str = "journal") -> list[tuple[str, str, int]]:
    """Recorded steps that began once more afterwards: there must be none."""
    recorded: set[tuple[str, int]] = set()
    again: list[tuple[str, str, int]] = []
    for kind, workflow_id, workflow, step, number in journal(home, name):
        if kind == "recorded":
            recorded.add((workflow_id, number))
        elif (workflow_id, number) in recorded:
            again.append((workflow, step, number))
    return again
