"""The same load on one replica and shared by three: processes of their own on one PostgreSQL."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import ExitStack

from sqlalchemy import func, select
from tests.postgres import binaries, cluster, database

from benchmarks.house import counters
from benchmarks.rows import Failed, Row, row, tried
from benchmarks.runtime import AT_ONCE, running
from foundry.runtime.store.migrate import engine_of

CALLERS = AT_ONCE - AT_ONCE % 3  # 63: shared evenly by one or three
TURNS = 100  # of each


def turns(url: str, replicas: int) -> float:
    """Turns a second of all replicas together, from the first's beginning to the last's end; none may be lost."""
    share = CALLERS // replicas
    with ExitStack() as stack:
        processes: list[subprocess.Popen[str]] = []
        for number in range(replicas):
            command = [sys.executable, "-m", "benchmarks.replica", url, str(share), str(TURNS), str(number * share)]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            processes.append(stack.enter_context(process))
            stack.callback(process.kill)
        for process in processes:
            assert _said(process) == "ready"
        for process in processes:
            _tell(process)
        spans = [tuple(map(float, _said(process).split())) for process in processes]
        for process in processes:
            _tell(process)
            process.wait(30)
    assert _counted(url) == CALLERS * TURNS, "turns are missing"
    return CALLERS * TURNS / (max(end for _, end in spans) - min(began for began, _ in spans))


def _said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def _counted(url: str) -> int:
    engine = engine_of(url)
    with engine.connect() as connection:
        found = connection.execute(select(func.sum(counters.c.count))).scalar_one()
    engine.dispose()
    return int(found)


async def measure() -> list[Row]:
    if binaries() is None:
        return []
    rates: dict[int, float | Failed] = {}
    with cluster() as server:
        for replicas in (1, 3):
            with database(server) as url:
                async with running(url):
                    pass
                rates[replicas] = await tried(asyncio.to_thread(turns, url, replicas))
    what = f"{CALLERS} at once over 200 actors, 3 replicas, PostgreSQL"
    return [row(what, rates[3], "turns/s", "1 replica, the same load", rates[1])]
