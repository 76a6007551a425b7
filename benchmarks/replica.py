"""One replica with its own callers: `python -m benchmarks.replica URL CALLERS TURNS FIRST`, for `replicas.py`.

Prints "ready", waits for a line, makes its turns, prints when it began and when the last was answered.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time

import structlog
import uvloop

from benchmarks.house import Count, Counter, house
from benchmarks.runtime import ACTORS
from foundry.runtime.runtime import Runtime
from foundry.runtime.store.migrate import open_store


async def live(url: str, callers: int, turns: int, first: int) -> None:
    """`callers` at once, each `turns` turns over all the actors there are; `first` numbers them over all replicas."""
    runtime = Runtime(house(), open_store(url))
    await runtime.start(None)  # type: ignore[arg-type]

    async def caller(number: int) -> None:
        for turn in range(turns):
            key = str((number * 7 + turn) % ACTORS)
            await runtime.ask(Counter.at(key), Count(text="y" * 40), key=f"r-{number}-{turn}")

    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    began = time.time()
    await asyncio.gather(*(caller(number) for number in range(first, first + callers)))
    print(began, time.time(), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await runtime.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    # what it says is read by who started it
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(live(sys.argv[1], *map(int, sys.argv[2:])))
