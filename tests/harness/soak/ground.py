"""What a soak runs on, and how each part of it is broken and mended: replicas, database, GitHub, sandboxes, disk."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Literal

import psycopg

from foundry.devkit.github import RunningGitHub, running_github
from foundry.sandboxes.local import processes
from tests.harness.life import folder
from tests.harness.replicas import Replica, own_port
from tests.harness.soak.gateway import Gateway, gateway
from tests.harness.stage import remove_sandboxes
from tests.postgres import cluster, database

Mode = Literal["sqlite", "replicas"]

REPLICAS = 3
DISK = 512  # MB of the small disk: what a soak writes, many times over
SOON = {  # seconds: the watchdog's limits, so that a short soak sees what comes of them
    "agent quiet": 15.0, "agent silent": 20.0, "permission unanswered": 20.0, "sending the message": 20.0,
    "opening the agent": 30.0, "creating session": 30.0, "publishing": 30.0, "saving a checkpoint": 30.0,
    "restoring a checkpoint": 30.0, "releasing the sandbox": 40.0, "renaming the branch": 40.0, "stopping": 8.0,
}  # fmt: skip


class Ground:
    """Breaking is asked by the saboteur; everything is whole again after `mend`."""

    def __init__(self, home: Path, replicas: list[Replica], hub: Hub, server: str, name: str, small: bool) -> None:
        self.home, self.replicas, self.hub = home, replicas, hub
        self.data = home / "data"
        self.logs = self.data / "kept-logs"  # on the same disk: what an agent said outlives its sandbox as a link
        self.small_disk = small
        self._server, self._database = server, name

    async def start(self) -> None:
        """The first replica alone: it makes the keys and the tables."""
        for replica in self.replicas:
            replica.start()
            assert await asyncio.to_thread(replica.ready) >= 0, f"{replica.name} ended: {replica.last_words()}"

    async def again(self, replica: Replica) -> None:
        """Until it runs: a start may meet what another fault has broken."""
        while not replica.lives:
            replica.start()
            if await asyncio.to_thread(replica.ready, 90.0) < 0:
                await asyncio.sleep(0.5)

    async def mend(self) -> None:
        self.empty_disk()
        await self.let_database_in()
        await self.hub.up()
        for replica in self.replicas:
            replica.thaw()
            await self.again(replica)
        self.keep_logs()

    def preserve(self, place: Path) -> None:
        """Copy what is there for whoever looks into a violation."""
        away = shutil.ignore_patterns("sandbox-agent", "filler", "*.sock")
        shutil.copytree(self.data, place, symlinks=True, ignore=away, dirs_exist_ok=True)

    # the database

    @property
    def has_server(self) -> bool:
        return bool(self._server)

    async def cut_database(self, *, closed: bool) -> None:
        """End every connection; `closed`: and let nobody in until `let_database_in`."""
        await asyncio.to_thread(self._cut, closed)

    async def let_database_in(self) -> None:
        if self._server:
            await asyncio.to_thread(self._admin, f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS true")

    def _cut(self, closed: bool) -> None:
        if closed:
            self._admin(f"ALTER DATABASE {self._database} ALLOW_CONNECTIONS false")
        self._admin(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._database}'")

    def _admin(self, order: str) -> None:
        with psycopg.connect(f"{self._server}postgres", autocommit=True) as admin:
            admin.execute(order.encode())

    # the disk

    def fill_disk(self) -> int:
        """To the last byte; gives how many that were."""
        written = 0
        with (self.data / "filler").open("wb") as file, suppress(OSError):
            while True:
                written += os.write(file.fileno(), bytes(256 * 1024))
        return written

    def empty_disk(self) -> None:
        (self.data / "filler").unlink(missing_ok=True)

    # the sandboxes

    def sandboxes(self) -> list[str]:
        root = self.data / "sandboxes"
        return sorted(p.name for p in root.iterdir() if p.is_dir()) if root.exists() else []

    def servers(self, sandbox: str) -> list[int]:
        """The pids of its sandbox-agent, bubblewrap's own aside."""
        return [
            pid for pid in self.processes(sandbox) if _argv(pid)[:1] and _argv(pid)[0].endswith(b"bin/sandbox-agent")
        ]

    def agents(self, sandbox: str) -> list[int]:
        return [pid for pid in self.processes(sandbox) if b"foundry.devkit.agent" in _argv(pid)]

    def processes(self, sandbox: str) -> set[int]:
        return processes.belonging(folder(self.data, sandbox), None, None)

    def keep_logs(self) -> None:
        """A link to each agent's log."""
        self.logs.mkdir(exist_ok=True)
        for sandbox in self.sandboxes():
            for log in folder(self.data, sandbox).glob("home/.scripted-agent/*.jsonl"):
                with suppress(FileExistsError, FileNotFoundError, OSError):
                    os.link(log, self.logs / f"{sandbox}-{log.name}")


class Hub:
    """The stand-in GitHub, which can be down."""

    def __init__(self, directory: Path, webhook: str) -> None:
        self._directory, self._webhook, self._port = directory, webhook, own_port()
        self._stack = ExitStack()
        self.at = self._enter()

    def _enter(self) -> RunningGitHub:
        return self._stack.enter_context(running_github(self._directory, webhook=self._webhook, port=self._port))

    def kill(self) -> None:
        self.at.kill()

    async def up(self) -> None:
        if self.at.process.poll() is not None:
            self._stack.close()
            self.at = await asyncio.to_thread(self._enter)

    def close(self) -> None:
        self._stack.close()


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _argv(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


@contextmanager
def small_disk(place: Path) -> Iterator[bool]:
    """A disk of its own for this directory, where this user may mount one; whether it is there."""
    place.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", str(place)]
    mounted = shutil.which("mount") is not None and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=False)


@asynccontextmanager
async def ground(home: Path, cache: Path, mode: Mode) -> AsyncIterator[tuple[Ground, Gateway]]:
    """Everything up; at the end nothing of it is left."""
    with ExitStack() as stack:
        small = stack.enter_context(small_disk(home / "data"))
        (home / "data" / "sandbox-agent").symlink_to(cache / "sandbox-agent")
        async with gateway() as open_gateway:
            hub = Hub(home / "github", f"{open_gateway.url}/")
            stack.callback(hub.close)
            server, name, changes = "", "", {}
            if mode == "replicas":
                server = stack.enter_context(cluster(fsync=False))
                url = stack.enter_context(database(server))
                name, changes = url.rpartition("/")[2], {"database_url": url}
            count = REPLICAS if mode == "replicas" else 1
            replicas = [Replica(home, f"foundry-{n}", watchdog=SOON, **changes) for n in range(1, count + 1)]
            made = Ground(home, replicas, hub, server, name, small)
            try:
                await made.start()
                yield made, open_gateway
            finally:
                made.empty_disk()
                for replica in replicas:
                    replica.thaw()
                    if replica.lives:
                        replica.kill()
                await asyncio.to_thread(remove_sandboxes, made.data)
