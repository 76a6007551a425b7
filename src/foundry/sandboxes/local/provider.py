"""The local provider: one directory and one detached sandbox-agent per sandbox.

    <data dir>/sandboxes/<id>/
      spec.json      the spec it was created with
      record.json    the process that Foundry started: pid, start time, port; no token
      log            sandbox-agent's own log
      passwd         /etc/passwd as seen inside
      home/          $HOME; agents and their launchers under .local/share/sandbox-agent
      work/repo      the clone of the repository

Only home/ and work/ are writable from inside. sandbox-agent runs in its own process session, so it outlives Foundry.
Foundry finds it again by its record, and `start` trusts it only if it accepts the token.

Known exposure: sandbox-agent 0.4.2 accepts its token only as an argument. Foundry overwrites it in the process's memory
as soon as it answers, so other users of the machine can see it in `ps` for some tens of milliseconds after a start.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from foundry.contracts.sandbox_provider import (
    Endpoint,
    ProviderSandbox,
    ProviderState,
    Room,
    SandboxGone,
    SandboxRefused,
    SandboxSpec,
    SandboxStartFailed,
    SandboxTokenRefused,
    SandboxUnreachable,
)
from foundry.sandboxes.agent import SandboxAgent
from foundry.sandboxes.local import disk, install, isolation, processes
from foundry.sandboxes.scripts import script

START_LIMIT = 20.0  # seconds; a cold sandbox-agent on 2 busy cores
KNOWN_LIMIT = 3.0  # seconds that an already running sandbox-agent may take to answer
PORT_TRIES = 5
LOG_LIMIT = 5_000_000  # bytes; a longer log is rotated at the next start

LAUNCHER = script("launcher")
BIN = ".local/share/sandbox-agent/bin"  # in the home directory; sandbox-agent installs agents there

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TAKEN = "Address already in use"


class LocalProvider:
    """Sandboxes on this machine.

    Args:
        data_dir: Foundry's data directory, which holds the sandboxes and sandbox-agent's installation.
        launchers: the argv that runs an agent, by agent name. sandbox-agent installs the other agents.
        extra_read_only: paths that launchers need inside, besides the system (see `isolation.python_paths`).
        extra_path: directories placed first on PATH, such as node's; read-only inside.
        env: environment for sandbox-agent and all agents, such as model keys; kept only in memory.
        binary: the sandbox-agent to run. None: it is installed into the data directory.
        walls: how sandboxes are isolated. None: the provider finds out.
    """

    name = "local"

    def __init__(
        self,
        data_dir: Path,
        *,
        launchers: Mapping[str, Sequence[str]] | None = None,
        extra_read_only: Sequence[Path] = (),
        extra_path: Sequence[Path] = (),
        env: Mapping[str, str] | None = None,
        binary: Path | None = None,
        walls: isolation.Walls | None = None,
        progress: install.Progress = lambda text: None,
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._root = self._data_dir / "sandboxes"
        self._launchers = {agent: list(argv) for agent, argv in (launchers or {}).items()}
        self._read_only = [*extra_read_only, *extra_path]
        self._path = ":".join([*map(str, extra_path), _PATH])
        self._env = dict(env or {})
        self._binary = binary
        self._walls = walls if walls is not None else isolation.probe()
        self._progress = progress
        self._locks: dict[str, asyncio.Lock] = {}
        self._children: dict[int, subprocess.Popen[bytes]] = {}  # to reap

    @property
    def warning(self) -> str | None:
        return self._walls.warning

    def repository_path(self, sandbox_id: str) -> str:
        return str(self._folder(sandbox_id) / "work" / "repo")

    def find_git(self) -> isolation.FoundGit:
        """Return the git to use inside sandboxes. Takes about 20 ms."""
        path = f"{os.environ.get('PATH', '')}:{_PATH}"
        return isolation.find_git(self._walls, path, read_only=self._read_only, hidden=self._data_dir)

    async def create(self, sandbox_id: str, spec: SandboxSpec) -> ProviderSandbox:
        async with self._lock(sandbox_id):
            await asyncio.to_thread(self._create, sandbox_id, spec)
            return await asyncio.to_thread(self._see, sandbox_id)

    async def find(self, sandbox_id: str) -> ProviderSandbox | None:
        if not (self._folder(sandbox_id) / "spec.json").exists():
            return None
        return await asyncio.to_thread(self._see, sandbox_id)

    async def start(self, sandbox_id: str, token: str) -> Endpoint:
        """1. Keep a running sandbox-agent that accepts the token. 2. Otherwise end all processes of the sandbox.
        3. Start one on a free port, or on another if that was taken meanwhile. 4. Wait until it answers. 5. Hide the
        token."""
        async with self._lock(sandbox_id):
            sandbox = await self.find(sandbox_id)
            if sandbox is None:
                raise SandboxGone(f"sandbox {sandbox_id} does not exist on this machine")
            if sandbox.endpoint is not None and await _answers(sandbox.endpoint.url, token):
                return sandbox.endpoint
            await asyncio.to_thread(self._end, sandbox_id)
            binary = self._binary or await install.install(self._data_dir, self._progress)
            for _ in range(PORT_TRIES):
                endpoint = await asyncio.to_thread(self._launch, sandbox_id, binary, token)
                if await self._up(sandbox_id, endpoint, token):
                    await asyncio.to_thread(_hide, self._folder(sandbox_id), endpoint, token)
                    return endpoint
            raise SandboxStartFailed(
                f"sandbox {sandbox_id}: tried {PORT_TRIES} ports, and each was taken before its start"
            )

    async def stop(self, sandbox_id: str) -> None:
        async with self._lock(sandbox_id):
            await asyncio.to_thread(self._end, sandbox_id)

    async def delete(self, sandbox_id: str) -> None:
        async with self._lock(sandbox_id):
            await asyncio.to_thread(self._end, sandbox_id)
            await asyncio.to_thread(_remove, self._folder(sandbox_id))
        self._locks.pop(sandbox_id, None)

    async def log(self, sandbox_id: str, tail_bytes: int = 65_536) -> str:
        return await asyncio.to_thread(_tail, self._folder(sandbox_id) / "log", tail_bytes)

    async def list(self) -> list[str]:
        if not self._root.exists():
            return []
        return sorted(folder.name for folder in self._root.iterdir() if folder.is_dir())

    async def usage(self, sandbox_id: str) -> int | None:
        return await disk.usage(self._folder(sandbox_id))

    async def room(self) -> Room | None:
        return await disk.room(self._data_dir)

    # One sandbox's directory

    def _folder(self, sandbox_id: str) -> Path:
        if not sandbox_id or not all(char.isalnum() or char in "_-" for char in sandbox_id):
            raise SandboxRefused(f"{sandbox_id!r} is not a sandbox id")
        return self._root / sandbox_id

    def _lock(self, sandbox_id: str) -> asyncio.Lock:
        return self._locks.setdefault(sandbox_id, asyncio.Lock())

    def _create(self, sandbox_id: str, spec: SandboxSpec) -> None:
        folder = self._folder(sandbox_id)
        self._root.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        for name in ("home", "work"):
            (folder / name).mkdir(exist_ok=True)
        inside = isolation.USER
        _write(folder / "passwd", f"foundry:x:{inside}:{inside}:Foundry:{folder / 'home'}:/bin/sh\n")
        for agent in spec.agents:
            if agent in self._launchers:
                words = "".join(f"{_line(word)}\n" for word in self._launchers[agent])
                # without the second one every agent except `mock` counts as not installed
                for place in (f"{BIN}/agent_processes/{agent}-acp", f"{BIN}/{agent}"):
                    _plant(folder / "home", f"{place}.words", words)
                    _plant(folder / "home", place, LAUNCHER)
        _write(folder / "spec.json", spec.model_dump_json())  # written last: with this file the sandbox exists

    def _see(self, sandbox_id: str) -> ProviderSandbox:
        record = _record(self._folder(sandbox_id))
        pid, since, port = record.get("pid"), record.get("started"), record.get("port")
        self._reap()
        endpoint = None
        if pid is not None and since is not None and processes.started(pid) == since:
            endpoint = Endpoint(url=f"http://127.0.0.1:{port}", pid=pid, started=since, port=port)
        return ProviderSandbox(
            id=sandbox_id,
            state=ProviderState.RUNNING if endpoint else ProviderState.STOPPED,
            endpoint=endpoint,
        )

    # Its processes

    def _launch(self, sandbox_id: str, binary: Path, token: str) -> Endpoint:
        """Start sandbox-agent, detached. The record first says that one may run, and afterwards which process it is."""
        folder = self._folder(sandbox_id)
        spec = SandboxSpec.model_validate_json((folder / "spec.json").read_text())
        home, work = folder / "home", folder / "work"
        port = _free_port()
        command = self._walls.wrap(
            [str(binary), "server", "--host", "127.0.0.1", "--port", str(port), "--no-telemetry", "--token", token],
            writable=[home, work],
            read_only=[binary, *self._read_only],
            hidden=self._data_dir,
            cwd=work,
            passwd=folder / "passwd",
        )
        env = {
            "PATH": self._path,
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / ".local/share"),
            "LANG": "C.UTF-8",
            "USER": "foundry",
            "SHELL": "/bin/sh",
            "SANDBOX_AGENT_LOG_STDOUT": "1",
            **self._env,
            **spec.env,
            processes.MARK: str(folder),
        }
        log = folder / "log"
        if log.exists() and log.stat().st_size > LOG_LIMIT:
            log.replace(folder / "log.1")
        _write(folder / "record.json", json.dumps({"port": port}))
        with log.open("ab") as out:
            child = subprocess.Popen(
                command, env=env, cwd=work, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
        self._children[child.pid] = child
        since = processes.started(child.pid)
        record = {"port": port, "pid": child.pid, "started": since}
        _write(folder / "record.json", json.dumps(record))
        return Endpoint(url=f"http://127.0.0.1:{port}", pid=child.pid, started=since, port=port)

    async def _up(self, sandbox_id: str, endpoint: Endpoint, token: str) -> bool:
        """Wait until it answers. Returns False if another process had the port; raises if it exits or stays silent."""
        until = time.monotonic() + START_LIMIT
        async with SandboxAgent(endpoint.url, token) as agent:
            while True:
                with contextlib.suppress(SandboxUnreachable, SandboxTokenRefused):
                    await agent.health()
                    return True
                assert endpoint.pid
                self._reap()
                ended = processes.started(endpoint.pid) != endpoint.started
                if ended or time.monotonic() > until:
                    await asyncio.to_thread(self._end, sandbox_id)
                    words = (await self.log(sandbox_id, 2000)).strip()
                    if ended and _TAKEN in words[-300:]:
                        return False
                    what = "exited at once" if ended else f"did not answer within {START_LIMIT:.0f} s"
                    raise SandboxStartFailed(f"sandbox-agent of {sandbox_id} {what}; its log ends with: {words}")
                await asyncio.sleep(0.02)

    def _end(self, sandbox_id: str) -> None:
        record = _record(self._folder(sandbox_id))
        if not processes.end(self._folder(sandbox_id), record.get("pid"), record.get("started")):
            raise SandboxRefused(f"sandbox {sandbox_id}: some of its processes do not exit, even after SIGKILL")
        self._reap()
        (self._folder(sandbox_id) / "record.json").unlink(missing_ok=True)

    def _reap(self) -> None:
        self._children = {pid: child for pid, child in self._children.items() if child.poll() is None}


class EndedSandboxes(NamedTuple):
    """What `end_all` did."""

    sandboxes: set[str]  # ids of the sandboxes that ran
    processes: int  # number of ended processes
    left: set[int]  # pids that still run; they are stuck in the kernel


def end_all(data_dir: Path) -> EndedSandboxes:
    """End all processes of the sandboxes of a data directory. Their files are kept, and they can be started again.

    Call it only after the directory's Foundry was stopped, and hold its lock: a running Foundry would start them again.
    """
    root = data_dir.absolute() / "sandboxes"
    ran: set[str] = set()

    def living() -> set[int]:
        found = _running_in(root)
        ran.update(found)
        return {pid for pids in found.values() for pid in pids}

    ended = processes.end_all(living)
    if not ended.left:
        for record in root.glob("*/record.json"):
            record.unlink(missing_ok=True)
    return EndedSandboxes(ran, len(ended.found - ended.left), ended.left)


def _running_in(root: Path) -> dict[str, set[int]]:
    """Return the pids of running processes by sandbox, including sandboxes whose directory is gone."""
    found: dict[str, set[int]] = {}
    real = root.resolve()
    for pid, mark in processes.carrying(processes.MARK).items():
        if (folder := Path(mark)).parent.resolve() == real:
            found.setdefault(folder.name, set()).add(pid)
    for folder in root.iterdir() if root.is_dir() else ():
        record = _record(folder)
        if pids := processes.belonging(folder, record.get("pid"), record.get("started")):
            found.setdefault(folder.name, set()).update(pids)
    return found


def _record(folder: Path) -> dict[str, Any]:
    """Read a sandbox's record of its sandbox-agent: the port, and once started, the pid and start time."""
    try:
        return json.loads((folder / "record.json").read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}


async def _answers(url: str, token: str) -> bool:
    async with SandboxAgent(url, token) as agent:
        with contextlib.suppress(SandboxUnreachable, SandboxTokenRefused, SandboxRefused):
            await agent.wait_healthy(KNOWN_LIMIT)
            return True
    return False


def _hide(folder: Path, endpoint: Endpoint, token: str) -> None:
    """Overwrite the token in the command lines of sandbox-agent and of the bubblewrap around it."""
    for pid in processes.belonging(folder, endpoint.pid, endpoint.started):
        processes.hide_argument(pid, token)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _write(path: Path, text: str) -> None:
    """Write a file atomically."""
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(text)
    scratch.replace(path)


def _line(word: str) -> str:
    """Return a word of a command as launcher.sh reads it."""
    return word.replace("\\", "\\\\").replace("\n", "\\n")


def _plant(home: Path, name: str, text: str) -> None:
    """Write an executable into a home directory where an agent may have placed links. No link is followed."""
    *folders, last = Path(name).parts
    here = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for folder in folders:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, 0o755, dir_fd=here)
            deeper = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = deeper
        with contextlib.suppress(FileNotFoundError):
            os.unlink(last, dir_fd=here)
        file = os.open(last, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o755, dir_fd=here)
        with os.fdopen(file, "w") as out:
            out.write(text)
            os.fchmod(out.fileno(), 0o755)
    finally:
        os.close(here)


def _tail(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def _remove(folder: Path) -> None:
    """Remove a directory tree, including files that agents made read-only. Links are removed, never followed."""

    def again(function: Any, path: str, error: Any) -> None:
        if isinstance(error[1], FileNotFoundError):
            return
        for place in (os.path.dirname(path), path):
            if not os.path.islink(place):
                with contextlib.suppress(FileNotFoundError):
                    os.chmod(place, stat.S_IRWXU)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, onerror=again)
        else:
            os.unlink(path)

    if folder.exists():
        (folder / "spec.json").unlink(missing_ok=True)  # removed first: without this file the sandbox does not exist
        shutil.rmtree(folder, onerror=again)
