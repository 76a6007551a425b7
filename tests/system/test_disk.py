"""Real sandboxes on a real disk: measured, waiting for their time across a restart, orphans that somebody removes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.stage import stage
from tests.system.whole import saved, whole

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

SOON = 0.2  # minutes; a task's sandbox is saved and stopped well within it


@pytest.fixture
def home(tmp_path: Path, sandbox_agent_cache: Path) -> Iterator[Path]:
    with stage(tmp_path, sandbox_agent_cache) as ready:
        yield ready


@pytest.mark.long
async def test_an_archived_tasks_sandbox_waits_stopped_and_goes_also_after_a_restart(home: Path) -> None:
    async with whole(home, archived_minutes=SOON) as foundry:
        task = await foundry.create("append notes.txt First.")
        before = await foundry.until(task, saved)
        shown = f"/api/sandboxes/{before['sandbox']}"
        await foundry.ask("POST", f"/api/tasks/{task}/archive")
        waits = await foundry.see(shown, lambda box: box["state"] == "stopped")
        found = await foundry.ask("GET", f"/api/tasks/{task}")
        assert waits["remove_at"] == found["remove_at"]
        assert (foundry.box(before) / "notes.txt").read_text() == "First.\n"
    async with whole(home, archived_minutes=SOON) as foundry:
        await foundry.see(shown, lambda box: box["state"] == "deleted")
        assert not foundry.box(before).exists()
        assert await foundry.checkpoints(task)


async def test_what_one_takes_is_measured_and_an_orphan_is_removed_when_asked_for(home: Path) -> None:
    async with whole(home) as foundry:
        task = await foundry.create("append notes.txt First.")
        before = await foundry.until(task, saved)
        (foundry.box(before) / "big").write_bytes(os.urandom(3_000_000))
        data = foundry.server.settings.data_dir
    orphan = data / "sandboxes" / "sbx_orphan"
    (orphan / "work").mkdir(parents=True)
    (orphan / "work" / "file").write_bytes(os.urandom(2_000_000))
    async with whole(home) as foundry:
        use = await foundry.see("/api/app/sandboxes", lambda use: use["orphans"] and use["sandboxes"][0]["disk"])
        (one,), (strange,) = use["sandboxes"], use["orphans"]
        assert one["id"] == before["sandbox"]
        assert one["disk"] > 3_000_000
        assert strange["id"] == "sbx_orphan"
        assert 2_000_000 <= strange["disk"] < 2_200_000
        assert use["used"] == one["disk"] + strange["disk"]
        assert use["room"]["total"] == shutil.disk_usage(data).total
        (issue,) = await foundry.ask("GET", "/api/app/issues")
        assert issue["failure"]["kind"] == "sandbox_unknown"
        assert (await foundry.ask("DELETE", "/api/app/sandboxes/sbx_orphan", 202))["removing"]
        await foundry.ask("DELETE", f"/api/app/sandboxes/{one['id']}", 409)
    async with whole(home) as foundry:  # the next comparison, whoever makes it
        await foundry.see("/api/app/sandboxes", lambda use: not use["orphans"])
        assert not orphan.exists()
        assert foundry.box(before).exists()
        assert await foundry.ask("GET", "/api/app/issues") == []
