"""Foundry is killed while an agent goes on talking: what it said meanwhile is in the transcript, all of it and once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.stage import Child, stage
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

LIMIT = 60.0  # seconds for 20,000 events on 2 busy cores
SCRIPT = "Count\n\n```script\nstream 100 20\nstream {events}\nplan [x] all said\n```\n"


@pytest.fixture
def home(tmp_path: Path, sandbox_agent_cache: Path) -> Iterator[Path]:
    with stage(tmp_path, sandbox_agent_cache) as ready:
        yield ready


def sandbox(home: Path) -> Path:
    [found] = (home / "data" / "sandboxes").iterdir()
    return found


def agent_said(home: Path) -> str:
    """Everything the scripted agent sent as its words, from its own log; nothing until its turn is over."""
    [log] = sandbox(home).glob("home/.scripted-agent/*.jsonl")
    whole = log.read_text().rpartition("\n")[0].splitlines()  # the last line may be half written
    updates = [json.loads(line).get("update") or {} for line in whole]
    if not any(update.get("sessionUpdate") == "plan" for update in updates):
        return ""
    return "".join(u["content"]["text"] for u in updates if u.get("sessionUpdate") == "agent_message_chunk")


async def killed_while_it_talks(home: Path, events: int) -> str:
    """What the agent has said once it is done, nearly all of it to nobody."""
    prompt = home / "prompt"
    prompt.write_text(SCRIPT.format(events=events))
    first = Child(home, "--create", str(prompt), "--die-at-text", "100")
    assert first.died() == -9
    return await eventually(lambda: agent_said(home), limit=LIMIT)


def started_again(home: Path, *arguments: str, notes: int = 0) -> list[tuple[str, str]]:
    """The transcript's entries, but for what Foundry notes, once the session is idle and that many notes are there."""

    def settled(body: dict[str, Any]) -> bool:
        kinds = [kind for kind, _, _ in body.get("entries", [])]
        return body["state"] == "failed" or (body["status"] == "idle" and kinds.count("note") >= notes)

    again = Child(home, *arguments)
    try:
        body: dict[str, Any] = again.until(settled, LIMIT)
    finally:
        again.stop()
    return [(kind, text) for kind, _, text in body["entries"] if kind != "note"]


async def test_of_twenty_thousand_events_none_is_missing_or_doubled(home: Path) -> None:
    said = await killed_while_it_talks(home, 20_000)
    entries = started_again(home)
    assert [kind for kind, _ in entries] == ["user", "agent", "plan", "stop"]
    assert entries[1][1] == said


async def with_a_gap(home: Path) -> str:
    """What the agent has said, a part of which nobody has recorded."""
    said = await killed_while_it_talks(home, 5_000)
    shutil.rmtree(sandbox(home) / "home/.local/share/foundry/streams")
    return said


def whole(entries: list[tuple[str, str]], said: str) -> None:
    """What was missing stands in its place, between what was there."""
    assert [kind for kind, _ in entries] == ["user", "agent", "agent", "agent", "plan", "stop"]
    assert "".join(text for kind, text in entries if kind == "agent") == said
    assert all(text for kind, text in entries if kind == "agent")
    assert 3_000 < len(entries[3][1]) < len(said) / 2


@pytest.mark.long
async def test_what_nobody_recorded_is_read_from_the_agents_own_history(home: Path) -> None:
    said = await with_a_gap(home)
    whole(started_again(home, notes=2), said)


@pytest.mark.long
@pytest.mark.parametrize(
    "where",
    [
        "ending the old agent:during",
        "opening:during",
        "recording:after",
        "looking for gaps:after",
        "reading its history:during",
        "filling the gaps:during",
        "opened:during",
    ],
)
async def test_killed_while_it_reads_the_history_it_ends_with_the_same(home: Path, where: str) -> None:
    said = await with_a_gap(home)
    dies = Child(home, "--die", f"resume_session:{where}")
    assert dies.died(LIMIT) == -9
    whole(started_again(home, notes=2), said)


@pytest.mark.long
async def test_what_the_agents_own_history_has_otherwise_is_a_gap_in_its_place(home: Path) -> None:
    said = await with_a_gap(home)
    [log] = sandbox(home).glob("home/.scripted-agent/*.jsonl")
    log.write_text(log.read_text().replace('"[7]"', '"[8]"'))
    entries = started_again(home, notes=2)
    assert [kind for kind, _ in entries] == ["user", "agent", "gap", "agent", "plan", "stop"]
    assert said.startswith(entries[1][1])
    assert said.endswith(entries[3][1])
    assert 3_000 < len(entries[3][1]) < len(said) / 2
