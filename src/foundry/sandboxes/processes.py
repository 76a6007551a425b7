"""Processes in a sandbox, through sandbox-agent: commands that run to their end, and long-lived ones with their output.

What 0.4.2 does, as tried: a process inherits sandbox-agent's own environment, `env` is added to it. A run that goes
past its timeout is killed, but the answer comes only when its children have let go of its output too, so a caller needs
a deadline of its own (`run` has one). The server's own limits (64 processes, 300 s a run, 1 MiB of output, 64 KiB of
input at once) are settings that `run` raises where it has to.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx

from foundry.contracts.sandbox_provider import ProcessResult
from foundry.sandboxes.calls import Calls
from foundry.sandboxes.scripts import script
from foundry.sandboxes.sse import events

GRACE = 10.0  # seconds that a run's answer may come after its own timeout
FOLLOW_QUIET = 60.0  # seconds without a byte, keep-alives included, after which a followed log counts as broken
START_SLACK = 1000.0  # milliseconds between an agent process's start and what sandbox-agent says of it
INPUT_LIMIT = 48_000  # bytes a request, so that it stays below the server's limit in base64 too

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


@dataclass(frozen=True)
class LogEntry:
    sequence: int  # follow or read on after it
    stream: str  # stdout, stderr, pty
    data: bytes


Family = dict[int, int]
"""Pids in the sandbox, each with its start in clock ticks, which tells it from a later process of the same pid."""


class _Process(NamedTuple):
    pid: int
    parent: int
    ticks: int
    unix_ms: float  # when it was started


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
        """Run a command to its end.

        Args:
            env: added to sandbox-agent's own; not seen in argv.
            timeout: seconds after which it is killed; the result then says `timed_out`.
            output_limit: bytes of stdout, and of stderr, that are kept: the first ones.

        Raises:
            SandboxRefused: there is no such command or directory.
            SandboxUnreachable: no answer `GRACE` seconds after the timeout.
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
            truncated=found["stdoutTruncated"] or found["stderrTruncated"],
            duration_ms=found["durationMs"],
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
        """Start a long-lived process; its last 10 MiB of output are kept by the server."""
        body: dict[str, Any] = {"command": command, "args": list(args), "env": dict(env or {}), "tty": tty}
        if tty:
            body["interactive"] = True
        if cwd:
            body["cwd"] = cwd
        return _info(await self._calls.ask("POST", "/v1/processes", json=body))

    async def list(self) -> list[ProcessInfo]:
        return [_info(found) for found in (await self._calls.ask("GET", "/v1/processes"))["processes"]]

    async def get(self, process: str) -> ProcessInfo:
        """Raises NotFound."""
        return _info(await self._calls.ask("GET", f"/v1/processes/{process}"))

    async def stop(self, process: str, *, wait: float = 2.0) -> ProcessInfo:
        """SIGTERM; gives its state after at most `wait` seconds."""
        return await self._end(process, "stop", wait)

    async def kill(self, process: str, *, wait: float = 2.0) -> ProcessInfo:
        """SIGKILL."""
        return await self._end(process, "kill", wait)

    async def forget(self, process: str) -> None:
        """Drop an ended process and its output."""
        await self._calls.ask("DELETE", f"/v1/processes/{process}")

    async def logs(self, process: str, *, since: int = 0) -> list[LogEntry]:
        """What it has written so far, after this sequence."""
        found = await self._calls.ask("GET", f"/v1/processes/{process}/logs", params={"since": since})
        return [_entry(entry) for entry in found["entries"]]

    async def follow(self, process: str, *, since: int = 0) -> AsyncIterator[LogEntry]:
        """What it has written and writes, after this sequence, until the caller has enough or the connection ends.

        The server does not end the stream when the process ends: ask `get` when it is quiet.
        """
        path, params = f"/v1/processes/{process}/logs", {"follow": "true", "since": str(since)}
        try:
            async with self._calls.stream(path, headers={}, params=params, quiet=FOLLOW_QUIET) as answer:
                await self._calls.check(answer)
                async for event in events(answer.aiter_lines()):
                    if event.event == "log":
                        yield _entry(json.loads(event.data))
        except httpx.TransportError as error:
            raise self._calls.unreachable(error) from error

    async def write(self, process: str, data: bytes) -> None:
        """To its stdin or terminal."""
        for at in range(0, len(data), INPUT_LIMIT):
            piece = base64.b64encode(data[at : at + INPUT_LIMIT]).decode()
            await self._calls.ask("POST", f"/v1/processes/{process}/input", json={"data": piece, "encoding": "base64"})

    async def family_started_at(self, unix_ms: int) -> Family:
        """The process that sandbox-agent itself started then, and that one's descendants; empty if nothing fits.

        sandbox-agent does not tell the pids of agents, so the sandbox's /proc has to. What this API has started is
        left out.
        """
        everyone, server, me = await self._everyone()
        other = {one.pid for one in await self.list()} | {me}
        far = {one.pid: abs(one.unix_ms - unix_ms) for one in everyone if one.parent == server}
        near = [pid for pid in sorted(far, key=lambda pid: far[pid]) if pid not in other and far[pid] < START_SLACK]
        found = near[:1]
        for pid in found:  # grows while it is walked
            found += [one.pid for one in everyone if one.parent == pid]
        return {one.pid: one.ticks for one in everyone if one.pid in found}

    async def living(self, family: Family) -> Family:
        """Those of the family that still run; another process that got one's pid is not one of them."""
        everyone, _, _ = await self._everyone()
        return {one.pid: one.ticks for one in everyone if family.get(one.pid) == one.ticks}

    async def kill_family(self, family: Family) -> None:
        """SIGKILL to all of them."""
        await self.run("/bin/sh", ["-c", KILL, "kill", *map(str, family)])

    async def _everyone(self) -> tuple[list[_Process], int, int]:
        """All processes in sight; sandbox-agent's pid; the pid of the shell that looked."""
        *stats, uptime, now, hertz, ids = (await self.run("/bin/sh", ["-c", PROCESSES])).stdout.splitlines()
        boot_ms = int(now) - float(uptime.split()[0]) * 1000
        everyone: list[_Process] = []
        for line in stats:
            rest = line[line.rindex(")") + 2 :].split()  # the name in brackets may hold anything
            if rest[0] not in "ZX":
                ticks = int(rest[19])
                pid = int(line.split(" ", 1)[0])
                everyone.append(_Process(pid, int(rest[1]), ticks, boot_ms + ticks / int(hertz) * 1000))
        server, me = map(int, ids.split())
        return everyone, server, me

    async def _end(self, process: str, how: str, wait: float) -> ProcessInfo:
        params = {"waitMs": round(wait * 1000)}
        return _info(await self._calls.ask("POST", f"/v1/processes/{process}/{how}", params=params))

    async def _allow(self, **wanted: int) -> None:
        """Raise the server's own limits to what is wanted."""
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


def _entry(found: dict[str, Any]) -> LogEntry:
    data = base64.b64decode(found["data"]) if found["encoding"] == "base64" else found["data"].encode()
    return LogEntry(found["sequence"], found["stream"], data)
