"""`foundry serve` as users start it, on 10,000 idle actors and a million transcript events: how long, how big."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx
from tests.harness.replicas import own_port
from tests.sandboxes.conftest import CACHE

from benchmarks.filled import EVENTS, SESSIONS, fill
from benchmarks.rows import Row, row, tried
from foundry.sandboxes.local import install

LIVES = 3  # starts on each database; the median counts
LIMIT = 60.0  # seconds until it must be ready
REST = 1.0  # seconds from ready to the look at its memory
READ = 50  # sessions that are opened in the last life


@dataclass
class Life:
    """One run of the server: its process and how long it took from exec to ready."""

    process: subprocess.Popen[bytes]
    url: str
    seconds: float

    def megabytes(self) -> float:
        """Return the RSS of the process and all its descendants. Fails if the process has exited."""
        assert self.process.poll() is None, f"the server exited with {self.process.returncode}"
        return sum(_resident(pid) for pid in _tree(self.process.pid)) / 1024


def _tree(pid: int) -> list[int]:
    """Return a process and its descendants. A process that exits meanwhile has no descendants."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except FileNotFoundError:
        tasks = []
    children = [int(child) for task in tasks for child in _read(task / "children").split()]
    return [pid, *(below for child in children for below in _tree(child))]


def _resident(pid: int) -> int:
    """Return KiB. 0 for a process that has exited: its status has no such line, even before it is reaped."""
    lines = _read(Path(f"/proc/{pid}/status")).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


def _read(path: Path) -> str:
    """Read a file of /proc. Empty if its process has exited."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@contextmanager
def living(home: Path, data: Path) -> Iterator[Life]:
    """`foundry serve` until it has answered /readyz, with nobody's settings and an empty HOME."""
    port = own_port()
    url = f"http://127.0.0.1:{port}"
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    foundry = str(Path(sys.executable).parent / "foundry")
    began = time.perf_counter()
    with open(home / "log", "ab") as log:
        process = subprocess.Popen(
            [foundry, "serve", "--data-dir", str(data), "--port", str(port)],
            cwd=home, env=environ, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        with httpx.Client(base_url=url, trust_env=False) as http:
            while not _ready(http):
                assert process.poll() is None, (home / "log").read_text()[-2000:]
                assert time.perf_counter() - began < LIMIT, "it is not ready"
                time.sleep(0.01)
        yield Life(process, url, time.perf_counter() - began)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT)


def _ready(http: httpx.Client) -> bool:
    try:
        return http.get("/readyz").is_success
    except httpx.TransportError:
        return False


def lives(home: Path, data: Path) -> tuple[float, float]:
    """Seconds to ready and MB then, the medians."""
    seconds: list[float] = []
    size: list[float] = []
    for _ in range(LIVES):
        with living(home, data) as life:
            seconds.append(life.seconds)
            time.sleep(REST)
            size.append(life.megabytes())
    return statistics.median(seconds), statistics.median(size)


def used(home: Path, data: Path) -> float:
    """MB after somebody has looked at the list of tasks and opened 50 sessions; all of it has to be there."""

    async def look(url: str) -> None:
        token = (data / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "X-Foundry-As": "ada"}
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=LIMIT) as http:
            listed = await http.get("/api/organizations/2001/tasks")
            assert len(listed.json()) == SESSIONS, listed.text[:500]
            eight = asyncio.Semaphore(8)

            async def open_(number: int) -> None:
                async with eight:
                    shown = await http.get(f"/api/sessions/ses_{number:026d}")
                    assert len(shown.json().get("transcript", ())) == EVENTS, shown.text[:500]

            await asyncio.gather(*(open_(number * 7) for number in range(READ)))

    with living(home, data) as life:
        asyncio.run(look(life.url))
        return life.megabytes()


def prepare(home: Path) -> None:
    """Make an empty and a full database, each in a data directory that was used once."""
    if not install.binary(CACHE).exists():
        asyncio.run(install.install(CACHE))
    for name in ("empty", "full"):
        (home / name).mkdir(mode=0o700)
        (home / name / "sandbox-agent").symlink_to(CACHE / "sandbox-agent")
    fill(home / "full" / "foundry.db")
    for name in ("empty", "full"):
        with living(home, home / name):  # the first start makes keys and the other database
            pass


async def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        await asyncio.to_thread(prepare, home)
        empty = await tried(asyncio.to_thread(lives, home, home / "empty"))
        full = await tried(asyncio.to_thread(lives, home, home / "full"))
        opened = await tried(asyncio.to_thread(used, home, home / "full"))
    beside = "on an empty database"
    return [
        row("exec to ready, 11,000 actors, 1,000,000 events", full[0], "s", beside, empty[0], most=3.0),
        row("RSS when ready, 11,000 actors, 1,000,000 events", full[1], "MB", beside, empty[1], most=250.0),
        row(f"the same after {READ} of the sessions were opened, 8 at once", opened, "MB", "when ready", full[1]),
    ]
