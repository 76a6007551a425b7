"""kill -9 between two steps, and in the middle of an answer; test_every_step.py has each step's own middle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.stage import Child, ran_again, stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

POINTS = ["provision:cloning:after", "open_session:opened:after", "prompt:sent:after"]


@pytest.fixture
def home(tmp_path: Path, sandbox_agent_cache: Path) -> Iterator[Path]:
    with stage(tmp_path, sandbox_agent_cache) as ready:
        yield ready


def idle(body: dict[str, Any]) -> bool:
    return body["status"] == "idle" or body["state"] == "failed"


def agent_said(home: Path, body: dict[str, Any]) -> str:
    """Everything the scripted agent sent as its words, from its own log."""
    (log,) = (home / "data" / "sandboxes" / body["sandbox"]).glob("home/.scripted-agent/*.jsonl")
    updates = (json.loads(line).get("update") for line in log.read_text().splitlines())
    return "".join(u["content"]["text"] for u in updates if u and u["sessionUpdate"] == "agent_message_chunk")


@pytest.mark.long
@pytest.mark.parametrize("point", POINTS)
def test_killed_there_it_goes_on_there(home: Path, point: str) -> None:
    prompt = home / "prompt"
    prompt.write_text("Say hello\n\n```script\nsay Hello from the agent.\n```\n")
    first = Child(home, "--create", str(prompt), "--die", point)
    assert first.died() == -9, f"it never came to {point}"
    second = Child(home)
    try:
        after = second.until(idle)
    finally:
        second.stop()
    assert (after["state"], after["failure"]) == ("ready", None)
    words = [text for kind, _, text in after["entries"] if kind == "agent"]
    assert words == ["Hello from the agent."], "said once, stored once"
    assert ran_again(home) == []


def test_killed_in_the_middle_of_an_answer_nothing_of_it_is_missing_or_doubled(home: Path) -> None:
    prompt = home / "prompt"
    prompt.write_text("Count\n\n```script\nstream 400 5 20\n```\n")
    first = Child(home, "--create", str(prompt), "--die-at-text", "1500")
    assert first.died() == -9
    second = Child(home)
    try:
        after = second.until(idle)
    finally:
        second.stop()
    words = "".join(text for kind, _, text in after["entries"] if kind == "agent")
    assert words == agent_said(home, after)
    assert all(words.count(f"[{n}]") == 1 for n in range(1, 401))
    assert [kind for kind, _, _ in after["entries"] if kind == "gap"] == []
    assert ran_again(home) == []
