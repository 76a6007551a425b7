"""`python -m benchmarks [--doc] [runtime edge ...]`: measure, print one table, write benchmarks/results/latest.json.

`--doc` also puts the table into docs/benchmarks.md, unless a row failed. A failed row shows its reason in the table.
The other rows are still measured, and the exit code is 1.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import structlog
import uvloop

from benchmarks import access, coordinator, edge, replicas, runtime, start, task, transcript
from benchmarks.rows import DOCUMENT, RESULTS, Failed, Row, document, row, tried, write

PARTS = {
    "runtime": runtime.measure,
    "replicas": replicas.measure,
    "transcript": transcript.measure,
    "task": task.measure,
    "coordinator": coordinator.measure,
    "edge": edge.measure,
    "access": access.measure,
    "start": start.measure,
}


Part = Callable[[], Awaitable[list[Row]]]


async def main(names: Sequence[str], parts: Mapping[str, Part] = PARTS) -> list[Row]:
    """Measure the named parts, or all. A part that fails as a whole is one failed row."""
    rows: list[Row] = []
    for name, measure in parts.items():
        if not names or name in names:
            found = await tried(measure())
            rows += [row(f"all rows of {name}", found, "")] if isinstance(found, Failed) else found
    return rows


def finish(rows: Sequence[Row], *, doc: bool, results: Path = RESULTS, into: Path = DOCUMENT) -> int:
    """Write the table: to `results`, and with `doc` into the document. Returns the exit code."""
    write(rows, results)
    failed = sum(1 for one in rows if one.failure)
    if failed:
        print(
            f"bench: {failed} of {len(rows)} rows failed" + (", so docs/benchmarks.md was not changed" if doc else "")
        )
        return 1
    if doc:
        document(rows, into)
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(main([name for name in sys.argv[1:] if name != "--doc"]))
    sys.exit(finish(rows, doc="--doc" in sys.argv))
