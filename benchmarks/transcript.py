"""An agent that talks as fast as it can: its stream, ingested as the worker does, stored, and told to who watches."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.actors.task_session_stage import Stage, stage
from tests.postgres import binaries, cluster, database
from tests.world.agents import update, words

from benchmarks.rows import Failed, Row, row, tried
from foundry.actors.session_status_sync.worker import BATCH
from foundry.contracts.messages import Address
from foundry.contracts.session_stream import Ingest, StreamItem

ROUNDS = 400  # of thinking, speaking and using a tool
LEASE = ("worker:the benchmark's", 1)
CHUNK = "a few words at once, "


def spoken() -> list[str]:
    """The stream's events as JSON, as they come over the wire: mostly chunks of a few words."""
    messages: list[Any] = []
    for number in range(ROUNDS):
        messages += [words(CHUNK, "agent_thought_chunk") for _ in range(20)]
        messages += [words(CHUNK) for _ in range(60)]
        tool = {"toolCallId": f"call_{number}", "title": "Edit totals.py", "kind": "edit"}
        messages.append(update("tool_call", status="pending", **tool))
        for status in ("in_progress", "completed"):
            content = [{"type": "content", "content": {"type": "text", "text": CHUNK * 10}}]
            messages.append(update("tool_call_update", toolCallId=tool["toolCallId"], status=status, content=content))
    return [json.dumps(message) for message in messages]


async def told(session: Stage, said: list[str]) -> float:
    """Events a second, from their JSON to the commit of all of them and the last one's arrival at a watcher."""
    await session.run()
    held = "INSERT INTO leases (name, holder, fencing, expires_at) VALUES (?,'me',?,9000000000000)"
    await session.runtime.system(Address("Lease", LEASE[0]), lambda tx: tx.execute(held, *LEASE))
    before = (await session.snapshot())[0]
    watch = session.runtime.hub.subscribe(session.address)
    arrived = 0

    async def listen() -> None:
        nonlocal arrived
        async for event in watch.events(before):
            arrived = event.version

    listening = asyncio.create_task(listen())
    began = time.perf_counter()
    for first in range(0, len(said), BATCH):
        items = [
            StreamItem(event_id=first + number, message=json.loads(text))
            for number, text in enumerate(said[first : first + BATCH], 1)
        ]
        command = Ingest(server_id=session.server, items=items)
        assert await session.runtime.ask(session.address, command, lease=LEASE) == first + len(items)
    version = await session.runtime.read(lambda reader: reader.version(session.address))
    while arrived < version:  # noqa: ASYNC110 (a look a turn of the loop)
        await asyncio.sleep(0)
    took = time.perf_counter() - began
    listening.cancel()
    watch.close()
    text = sum(len(entry.text) for entry in await session.transcript() if entry.kind in ("agent", "thought"))
    assert text == ROUNDS * 80 * len(CHUNK), "words are missing"
    return len(said) / took


def raw(path: Path, said: list[str]) -> float:
    """The same events a second by sqlite3 itself: a row each as it came, as many in one commit."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE said (session TEXT, id INTEGER, body TEXT, PRIMARY KEY (session, id))")
    began = time.perf_counter()
    for first in range(0, len(said), BATCH):
        db.execute("BEGIN IMMEDIATE")
        rows = [("raw", first + number, text) for number, text in enumerate(said[first : first + BATCH])]
        db.executemany("INSERT INTO said VALUES (?,?,?)", rows)
        db.execute("COMMIT")
    return len(said) / (time.perf_counter() - began)


async def on(url: str, said: list[str]) -> float:
    async with stage(url) as session:
        return await told(session, said)


async def on_postgres(said: list[str]) -> float | Failed:
    with cluster() as server, database(server) as url:
        return await on(url, said)


async def measure() -> list[Row]:
    said = spoken()
    with tempfile.TemporaryDirectory() as home:
        rate = await tried(on(f"sqlite:///{home}/foundry.db", said))
        beside = await tried(asyncio.to_thread(raw, Path(home) / "raw.db", said))
    what = "transcript events stored and delivered"
    kept = "raw sqlite3, a row each, as many a commit"
    rows = [row(f"{what}, SQLite", rate, "events/s", kept, beside, least=10_000)]
    if binaries() is not None:
        other = await tried(on_postgres(said))
        rows.append(row(f"{what}, PostgreSQL", other, "events/s", "on SQLite", rate, least=10_000))
    return rows
