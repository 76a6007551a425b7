"""What a person waits for: requests over HTTP, on the whole tree, with an outside that answers at once."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import httpx2 as httpx
from tests.api.edge import ORG, TOKEN, URL, Edge, listening, running

from benchmarks.rows import Row, row, tried

TASKS = 60


async def create(http: httpx.AsyncClient, edge: Edge) -> float:
    """Milliseconds from the request for a new task to its answer, the median; each alone, the one before it running."""
    took: list[float] = []
    for number in range(TASKS):
        wish = {"repository": "lumen-works/tally", "prompt": f"Change number {number}"}
        began = time.perf_counter()
        answer = await http.post(f"/api/organizations/{ORG}/tasks", json=wish)
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 201, answer.text
        task = answer.json()["id"]
        async with edge.admin() as admin:
            await edge.until(admin, f"/api/tasks/{task}", lambda found: found["phase"] == "running")
    return statistics.median(took)


async def nothing(http: httpx.AsyncClient) -> float:
    """Milliseconds of a request that only reads one row: what HTTP itself costs here, the median."""
    took: list[float] = []
    for _ in range(TASKS):
        began = time.perf_counter()
        answer = await http.get(f"/api/organizations/{ORG}")
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, answer.text
        await asyncio.sleep(0.01)
    return statistics.median(took)


async def measure() -> list[Row]:
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Foundry-As": "ada", "host": URL.removeprefix("http://")}
    with tempfile.TemporaryDirectory() as home:
        async with (
            running(Path(home)) as edge,
            listening(edge) as url,
            httpx.AsyncClient(base_url=url, headers=headers) as http,
        ):
            made, read = await tried(create(http, edge)), await tried(nothing(http))
    return [row("create a task over HTTP, SQLite, p50", made, "ms", "reading one organization", read, most=15.0)]
