"""Nothing of the work is lost with its sandbox: saved after each turn, brought back in place or in a new task."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.stage import stage
from tests.system.whole import Whole, saved, whole
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]


@pytest.fixture
def home(tmp_path: Path, sandbox_agent_cache: Path) -> Iterator[Path]:
    with stage(tmp_path, sandbox_agent_cache) as ready:
        yield ready


@pytest.fixture
async def foundry(home: Path) -> AsyncIterator[Whole]:
    async with whole(home) as running:
        yield running


def git(place: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=place, check=True, capture_output=True, text=True).stdout


async def patch(foundry: Whole, task: dict[str, Any], number: int) -> str:
    one = next(c for c in await foundry.checkpoints(task["id"]) if c["number"] == number)
    return (await foundry.http.get(f"/api/tasks/{task['id']}/checkpoints/{one['id']}/patch")).text


async def test_every_turn_is_saved_with_the_message_it_followed_and_can_be_gone_back_to(foundry: Whole) -> None:
    task = await foundry.create("append README.md Committed.", "commit One", "append notes.txt First.")
    first = await foundry.until(task, saved)
    [one] = await foundry.checkpoints(task)
    assert (one["number"], one["reason"], one["session"]) == (1, "turn", first["active_session"])
    assert one["message"].startswith("msg_")
    assert (one["saved"]["commits"], one["saved"]["changed"]) == (1, 1)
    assert "+First." in await patch(foundry, first, 1)
    assert git(foundry.box(first), "status", "--porcelain") == "?? notes.txt\n", "the agent's own state is untouched"

    await foundry.turn(task, "append notes.txt Second.", "edit new.txt <<EOF", "new", "EOF", "commit Two")
    assert [c["number"] for c in await foundry.checkpoints(task)] == [2, 1]

    await foundry.ask("POST", f"/api/tasks/{task}/checkpoints/{one['id']}/restore", 202)
    back = await foundry.until(task, lambda t: not t["restoring"] and "checkpoint 1" in t["note"])
    box = foundry.box(back)
    assert (box / "notes.txt").read_text() == "First.\n"
    assert not (box / "new.txt").exists()
    assert git(box, "status", "--porcelain") == "?? notes.txt\n"
    assert git(box, "rev-parse", "HEAD").strip() == one["saved"]["head"]
    assert back["checkpoint"] == 2, "what was there had been saved already: no third one"

    third = await foundry.turn(task, "append notes.txt Third.")
    assert (box / "notes.txt").read_text() == "First.\nThird.\n"
    assert third["checkpoint"] > 2


async def test_a_new_task_begins_from_a_checkpoint_of_one_whose_sandbox_is_gone(foundry: Whole) -> None:
    old = await foundry.create("append README.md Committed.", "commit One", "append notes.txt Not committed.")
    before = await foundry.until(old, saved)
    await foundry.ask("POST", f"/api/tasks/{old}/archive")
    gone = await foundry.until(old, lambda t: not foundry.box(t).exists())
    assert gone["retained"] == ""
    ref = {"task": old, "id": (await foundry.checkpoints(gone["id"]))[0]["id"]}
    new = await foundry.create("append notes.txt And more.", checkpoint=ref)
    after = await foundry.until(new, saved)
    box = foundry.box(after)
    assert after["branch"] != before["branch"]
    assert git(box, "symbolic-ref", "--short", "HEAD").strip() == after["branch"]
    assert (box / "notes.txt").read_text() == "Not committed.\nAnd more.\n"
    assert git(box, "log", "-1", "--format=%s").strip() == "One"
    assert after["work"]["commits_ahead"] == 1


async def test_the_work_of_a_dead_sandbox_is_saved_before_it_is_deleted(foundry: Whole) -> None:
    task = await foundry.create("say Hello.")
    before = await foundry.until(task, saved)
    (foundry.box(before) / "late.txt").write_text("after the last turn\n")
    endpoint = (await foundry.ask("GET", f"/api/sandboxes/{before['sandbox']}"))["endpoint"]
    os.kill(endpoint["pid"], signal.SIGKILL)
    await foundry.ask("POST", f"/api/tasks/{task}/archive", kill=True)
    after = await foundry.until(task, lambda t: not foundry.box(before).exists())
    assert (await foundry.checkpoints(task))[0]["reason"] == "release"
    assert "+after the last turn" in await patch(foundry, after, after["checkpoint"])


@pytest.mark.long
async def test_work_that_cannot_be_saved_keeps_its_sandbox_until_somebody_discards_it(foundry: Whole) -> None:
    task = await foundry.create("run head -c 70000000 /dev/urandom > big")
    before = await foundry.until(task, lambda t: t["activity"] == "idle" and t["checkpoint_failure"])
    assert before["checkpoint_failure"]["code"] == "checkpoint_too_large"
    assert before["checkpoint_failure"]["remedy"]
    await foundry.ask("POST", f"/api/tasks/{task}/archive")
    retained = await foundry.until(task, lambda t: t["retained"])
    assert "checkpoint holds 64 MiB" in retained["retained"]
    assert (foundry.box(before) / "big").exists()
    sandbox = f"/api/sandboxes/{before['sandbox']}"
    assert (await foundry.ask("GET", sandbox))["state"] == "retained"

    await foundry.ask("POST", f"/api/tasks/{task}/release", 202, discard=True)
    await eventually(lambda: foundry.ask("GET", sandbox), lambda s: s["state"] == "deleted")
    assert not foundry.box(before).exists()
    assert (await foundry.ask("POST", f"/api/tasks/{task}/release", 409))["code"] == "wrong_state"


@pytest.mark.long
async def test_a_restore_is_refused_while_the_agent_writes(foundry: Whole) -> None:
    task = await foundry.create("append notes.txt First.")
    before = await foundry.until(task, saved)
    path = f"/api/sessions/{before['active_session']}"
    message = "```script\nsleep 30\n```"
    await foundry.ask("POST", f"{path}/messages", 201, text=message)
    await foundry.until(task, lambda t: t["activity"] == "running")
    place = f"/api/tasks/{task}/checkpoints/{(await foundry.checkpoints(task))[0]['id']}/restore"
    refused = await foundry.ask("POST", place, 409)
    assert refused["code"] == "wrong_state"
    assert "Stop the agent" in refused["remedy"]
    assert (await foundry.ask("POST", f"/api/tasks/{task}/checkpoints/chk_x/restore", 404))[
        "code"
    ] == "checkpoint_missing"
    await foundry.ask("POST", f"{path}/stop")
    await foundry.until(task, lambda t: t["activity"] == "idle")
    await foundry.ask("POST", place, 202)
    await foundry.until(task, lambda t: "checkpoint 1" in t["note"])


@pytest.mark.long
async def test_what_a_checkpoint_left_out_keeps_the_sandbox_at_its_end_and_survives_a_restore(foundry: Whole) -> None:
    """Also where nothing else is new since the checkpoint, as after every turn."""
    inner = (
        "git init -q sub; echo 1 > sub/in.txt; cd sub; git add .; git -c user.name=A -c user.email=a@x commit -qm In"
    )
    task = await foundry.create("append README.md One.", "commit One")
    first = await foundry.until(task, saved)
    before = await foundry.turn(task, f"run {inner}", "append notes.txt Two.")
    assert (await foundry.checkpoints(before["id"]))[0]["saved"]["left_out"] == ["sub"]
    place = f"/api/tasks/{task}/checkpoints/{(await foundry.checkpoints(first['id']))[-1]['id']}/restore"
    await foundry.ask("POST", place, 202)
    after = await foundry.until(task, lambda t: not t["restoring"])
    assert "left as they are: sub" in after["note"]
    box = foundry.box(after)
    assert not (box / "notes.txt").exists()
    assert (box / "sub/in.txt").exists()

    await foundry.ask("POST", f"/api/tasks/{task}/archive")
    retained = await foundry.until(task, lambda t: t["retained"])
    assert "sub" in retained["retained"]
    assert (box / "sub/in.txt").exists()


@pytest.mark.long
async def test_a_task_whose_clone_is_gone_gets_another_sandbox(foundry: Whole) -> None:
    task = await foundry.create("append notes.txt First.")
    before = await foundry.until(task, saved)
    shutil.rmtree(foundry.box(before))
    await foundry.ask("POST", f"/api/tasks/{task}/checkpoints", 202)
    after = await foundry.until(task, lambda t: t["sandbox"] != before["sandbox"] and t["phase"] == "running")
    assert (foundry.box(after) / "notes.txt").read_text() == "First.\n"
