"""Processes in a sandbox, through sandbox-agent: commands that run to completion, and long-lived processes.

Behaviour of 0.4.2, as tested: a process inherits sandbox-agent's environment, plus `env`. A run that exceeds its
timeout is killed, but the response arrives only after its children have closed its output too. So a caller needs its
own deadline (`run` has one). The server's limits (64 processes, 300 s per run, 1 MiB of output, 64 KiB of input per
request) are settings that `run` raises if necessary.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from foundry.contracts.sandbox_provider import ProcessResult
from foundry.sandboxes.calls import Calls
from foundry.sandboxes.scripts import script

GRACE = 10.0  # seconds after a run's timeout within which the response may arrive
START_SLACK = 1000.0  # milliseconds between an agent process's real start and the time that sandbox-agent reports
INPUT_LIMIT = 48_000  # bytes per request, so that it stays below the server's limit in base64 too

KILL, PROCESSES = script("kill"), script("processes")


@dataclass(frozen=True)
class ProcessInfo:
    id: str
    command: str
    args: list[str]
    running: bool
    pid: int | None
    exit_code: int | None
    created_ms: int  # Unix time


Family = dict[int, int]
"""Pids in the sandbox, each with its start in clock ticks, to recognise a later process with the same pid."""


class _Process(NamedTuple):
    pid: int
    parent: int
    ticks: int
    unix_ms: float  # start time


class Processes:
    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._limits: dict[str, int] = {}

    async def run(
        self,
        command: str,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float = 30.0,
        output_limit: int = 1_048_576,
    ) -> ProcessResult:
        """Run a command to completion.

        Args:
            env: added to sandbox-agent's environment; not visible in argv.
            timeout: seconds until it is killed; the result then says `timed_out`.
            output_limit: how many bytes of stdout, and of stderr, are returned, from the start.

        Raises:
            SandboxRefused: the command or the directory does not exist.
            SandboxUnreachable: no response `GRACE` seconds after the timeout.
        """
        millis = round(timeout * 1000)
        await self._allow(maxRunTimeoutMs=millis, maxOutputBytes=output_limit)
        body = {"command": command, "args": list(args), "timeoutMs": millis, "maxOutputBytes": output_limit}
        if env:
            body["env"] = dict(env)
        if cwd:
            body["cwd"] = cwd
        found = await self._calls.ask("POST", "/v1/processes/run", json=body, limit=timeout + GRACE)
        return ProcessResult(
            exit_code=found["exitCode"],
            stdout=found["stdout"],
            stderr=found["stderr"],
            timed_out=found["timedOut"],
        )

    async def start(
        self,
        command: str,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        tty: bool = False,
    ) -> ProcessInfo:
        """Start a long-lived process. The server keeps its last 10 MiB of output."""
        body: dict[str, Any] = {"command": command, "args": list(args), "env": dict(env or {}), "tty": tty}
        if tty:
            body["interactive"] = True
        if cwd:
            body["cwd"] = cwd
        return _info(await self._calls.ask("POST", "/v1/processes", json=body))

    async def list(self) -> list[ProcessInfo]:
        return [_info(found) for found in (await self._calls.ask("GET", "/v1/processes"))["processes"]]

    async def get(self, process: str) -> ProcessInfo:
        """Return the process. Raises NotFound."""
        return _info(await self._calls.ask("GET", f"/v1/processes/{process}"))

    async def kill(self, process: str, *, wait: float = 2.0) -> ProcessInfo:
        """Send SIGKILL. Returns the process's state after at most `wait` seconds."""
        params = {"waitMs": round(wait * 1000)}
        return _info(await self._calls.ask("POST", f"/v1/processes/{process}/kill", params=params))

    async def forget(self, process: str) -> None:
        """Forget an exited process and its output."""
        await self._calls.ask("DELETE", f"/v1/processes/{process}")

    async def logs(self, process: str) -> bytes:
        """Return the output so far."""
        found = await self._calls.ask("GET", f"/v1/processes/{process}/logs")
        return b"".join(map(_written, found["entries"]))

    async def write(self, process: str, data: bytes) -> None:
        """Write to the process's stdin or terminal."""
        for at in range(0, len(data), INPUT_LIMIT):
            piece = base64.b64encode(data[at : at + INPUT_LIMIT]).decode()
            await self._calls.ask("POST", f"/v1/processes/{process}/input", json={"data": piece, "encoding": "base64"})

    async def family_started_at(self, unix_ms: int) -> Family:
        """Return the process that sandbox-agent itself started then, with its descendants. Empty if none matches.

        sandbox-agent does not report the pids of agents, so this reads the sandbox's /proc. Processes started through
        this API are excluded.
        """
        everyone, server, me = await self._everyone()
        other = {one.pid for one in await self.list()} | {me}
        far = {one.pid: abs(one.unix_ms - unix_ms) for one in everyone if one.parent == server}
        near = [pid for pid in sorted(far, key=lambda pid: far[pid]) if pid not in other and far[pid] < START_SLACK]
        found = near[:1]
        for pid in found:  # the list grows during the loop
            found += [one.pid for one in everyone if one.parent == pid]
        return {one.pid: one.ticks for one in everyone if one.pid in found}

    async def living(self, family: Family) -> Family:
        """Return the processes of the family that still run. Another process with a reused pid does not count."""
        everyone, _, _ = await self._everyone()
        return {one.pid: one.ticks for one in everyone if family.get(one.pid) == one.ticks}

    async def kill_family(self, family: Family) -> None:
        """Send SIGKILL to all of them."""
        await self.run("/bin/sh", ["-c", KILL, "kill", *map(str, family)])

    async def _everyone(self) -> tuple[list[_Process], int, int]:
        """Return all visible processes, sandbox-agent's pid, and the pid of the shell that listed them."""
        *stats, uptime, now, hertz, ids = (await self.run("/bin/sh", ["-c", PROCESSES])).stdout.splitlines()
        boot_ms = int(now) - float(uptime.split()[0]) * 1000
        everyone: list[_Process] = []
        for line in stats:
            rest = line[line.rindex(")") + 2 :].split()  # the name in brackets may contain anything
            if rest[0] not in "ZX":
                ticks = int(rest[19])
                pid = int(line.split(" ", 1)[0])
                everyone.append(_Process(pid, int(rest[1]), ticks, boot_ms + ticks / int(hertz) * 1000))
        server, me = map(int, ids.split())
        return everyone, server, me

    async def _allow(self, **wanted: int) -> None:
        """Raise the server's limits to the required values."""
        if not self._limits:
            self._limits = await self._calls.ask("GET", "/v1/processes/config")
        higher = {name: value for name, value in wanted.items() if value > self._limits[name]}
        if higher:
            self._limits = await self._calls.ask("POST", "/v1/processes/config", json={**self._limits, **higher})


def _info(found: dict[str, Any]) -> ProcessInfo:
    return ProcessInfo(
        id=found["id"],
        command=found["command"],
        args=found["args"],
        running=found["status"] == "running",
        pid=found.get("pid"),
        exit_code=found.get("exitCode"),
        created_ms=found["createdAtMs"],
    )


def _written(entry: dict[str, Any]) -> bytes:
    return base64.b64decode(entry["data"]) if entry["encoding"] == "base64" else entry["data"].encode()
