"""One measured row, and how a run is written down.

A failed measurement affects only the rows that need it: `tried` turns its error into a `Failed`, which `row` accepts
instead of a number.
"""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

RESULTS = Path(__file__).parent / "results" / "latest.json"
DOCUMENT = Path(__file__).parent.parent / "docs" / "benchmarks.md"
COLUMNS = ("what", "value", "compared with", "its value", "ratio", "target", "")
BEGIN, END = "<!-- rows -->", "<!-- /rows -->"
LIMIT = 600.0  # seconds for one measurement, its set-up included
REASON = 200  # characters of a failure that the table shows

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """A value, what stands beside it in the same run, and what it should reach.

    `ratio` is value / beside_value. `reached` is absent where nothing is asked. A row with a `failure` was not fully
    measured.
    """

    name: str
    value: float | None
    unit: str
    beside: str = ""
    beside_value: float | None = None
    ratio: float | None = None
    reach: str = ""
    reached: bool | None = None
    failure: str = ""


@dataclass(frozen=True)
class Failed:
    """Replaces a measurement's result. Each item of the result is the same failure."""

    reason: str

    def __getitem__(self, item: object) -> Failed:
        return self


async def tried(measurement: Awaitable[T], limit: float = LIMIT) -> T | Failed:
    """Return the measurement's result. If it raises or takes over `limit` seconds, print that and return Failed."""
    try:
        async with asyncio.timeout(limit):
            return await measurement
    except Exception as error:
        traceback.print_exc()
        said = " ".join(str(error).split())
        return Failed(f"{type(error).__name__}: {said}" if said else type(error).__name__)


def row(
    name: str,
    value: float | Failed,
    unit: str,
    beside: str = "",
    beside_value: float | Failed | None = None,
    *,
    most: float | None = None,
    least: float | None = None,
    ratio_most: float | None = None,
    ratio_least: float | None = None,
) -> Row:
    """A row with its limits: at most or least so much of its unit, or so many times what stands beside it."""
    if isinstance(value, Failed):
        return Row(name, None, unit, beside, failure=value.reason)
    if isinstance(beside_value, Failed):
        return Row(name, value, unit, beside, failure=f"{beside}: {beside_value.reason}")
    ratio = value / beside_value if beside_value else None
    wishes: list[tuple[str, bool]] = []
    if most is not None:
        wishes.append((f"<= {most:g} {unit}", value <= most))
    if least is not None:
        wishes.append((f">= {least:,g} {unit}", value >= least))
    if ratio_most is not None and ratio is not None:
        wishes.append((f"<= {ratio_most:g} x", ratio <= ratio_most))
    if ratio_least is not None and ratio is not None:
        wishes.append((f">= {ratio_least:g} x", ratio >= ratio_least))
    reached = all(ok for _, ok in wishes) if wishes else None
    return Row(name, value, unit, beside, beside_value, ratio, " and ".join(text for text, _ in wishes), reached)


def cells(row: Row) -> list[str]:
    """The row as a table shows it."""
    beside = f"{row.beside_value:.4g} {row.unit}" if row.beside_value is not None else ""
    ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
    mark = {True: "reached", False: "NOT reached", None: ""}[row.reached]
    if row.failure:
        mark = f"FAILED: {row.failure[:REASON]}"
    value = f"{row.value:.4g} {row.unit}" if row.value is not None else ""
    return [row.name, value, row.beside, beside, ratio, row.reach, mark]


def write(rows: Sequence[Row], results: Path = RESULTS) -> None:
    """Print one table and write the list as JSON."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="Foundry, measured")
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in ("value", "its value", "ratio") else "left")
    for one in rows:
        table.add_row(*(escape(cell) for cell in cells(one)))
    Console(width=150).print(table)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps([asdict(one) for one in rows], indent=1) + "\n")


def document(rows: Sequence[Row], path: Path = DOCUMENT) -> None:
    """Put the table into the document, in the place of the one that is there."""
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *(cells(one) for one in rows)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    before, _, rest = path.read_text().partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}")
