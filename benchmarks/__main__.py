"""`python -m benchmarks [runtime ...]`: measure, print one table, write benchmarks/results/latest.json."""

from __future__ import annotations

import asyncio
import logging
import sys

import uvloop

from benchmarks import runtime
from benchmarks.rows import Row, write

PARTS = {"runtime": runtime.measure}


async def main(names: list[str]) -> list[Row]:
    rows: list[Row] = []
    for name, measure in PARTS.items():
        if not names or name in names:
            rows += await measure()
    return rows


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        write(runner.run(main(sys.argv[1:])))
