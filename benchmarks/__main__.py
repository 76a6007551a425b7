"""`python -m benchmarks [--doc] [runtime edge ...]`: measure, print one table, write benchmarks/results/latest.json.

`--doc` also puts the table into docs/benchmarks.md.
"""

from __future__ import annotations

import asyncio
import logging
import sys

import structlog
import uvloop

from benchmarks import coordinator, edge, replicas, runtime, start, transcript
from benchmarks.rows import Row, document, write

PARTS = {
    "runtime": runtime.measure,
    "replicas": replicas.measure,
    "transcript": transcript.measure,
    "coordinator": coordinator.measure,
    "edge": edge.measure,
    "start": start.measure,
}


async def main(names: list[str]) -> list[Row]:
    rows: list[Row] = []
    for name, measure in PARTS.items():
        if not names or name in names:
            rows += await measure()
    return rows


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(main([name for name in sys.argv[1:] if name != "--doc"]))
    write(rows)
    if "--doc" in sys.argv:
        document(rows)
