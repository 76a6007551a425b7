"""The recorder against the real sandbox-agent: what is held, what is let go, what it gives away."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from foundry.contracts.sandbox_provider import SandboxRefused
from foundry.contracts.session_stream import StreamItem
from foundry.sandboxes.files import FileInfo
from foundry.sandboxes.local import processes
from foundry.sandboxes.recorder import FOLDER, segments_after
from tests.sandboxes.conftest import TOKEN, Box
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LIMIT = 60.0  # seconds for some thousand events on 2 busy cores


@dataclass
class Talk:
    """One agent under one server id."""

    box: Box
    server: str
    session: str

    async def prompt(self, *script: str, rpc: str) -> None:
        text = "\n".join(("```script", *script, "```"))
        await self.box.agent.acp.prompt(self.server, self.session, rpc, text)

    async def recorded(self, after: int = 0) -> list[StreamItem]:
        return [item async for item in self.box.agent.recorder.recorded(self.server, after)]

    async def until_recorded(self, rpc: str) -> list[StreamItem]:
        """Everything, once the answer to this prompt is there."""
        return await eventually(self.recorded, lambda items: items and items[-1].message.get("id") == rpc, limit=LIMIT)

    @property
    def folder(self) -> Path:
        return self.box.repository.parents[1] / "home" / FOLDER / self.server

    async def recorders(self) -> list[Any]:
        return [p for p in await self.box.agent.processes.list() if self.server in p.args and p.running]


@pytest.fixture
async def talk(box: Box) -> Talk:
    await box.agent.acp.initialize("acp_1", "mock")
    opened = await box.agent.acp.new_session("acp_1", str(box.repository))
    return Talk(box, "acp_1", opened["sessionId"])


def ids(items: list[StreamItem]) -> list[int]:
    return [item.event_id for item in items]


def words(items: list[StreamItem]) -> str:
    updates = [item.message.get("params", {}).get("update", {}) for item in items]
    return "".join(update["content"]["text"] for update in updates if "content" in update)


async def test_what_sandbox_agent_no_longer_has_is_held(talk: Talk) -> None:
    await talk.box.agent.recorder.start(talk.server)
    await talk.prompt("stream 5000", rpc="r1")
    items = await talk.until_recorded("r1")
    assert ids(items) == list(range(1, len(items) + 1))
    assert words(items) == "".join(f"[{n}]" for n in range(1, 5001))
    kept = await talk.box.agent.acp.replay(talk.server)
    assert kept[0].event_id > 3_000
    assert items[kept[0].event_id - 1 :] == kept, "the same messages under the same ids"


async def test_a_stream_in_many_segments_is_read_whole_from_any_event(talk: Talk) -> None:
    await talk.box.agent.recorder.start(talk.server, segment=20)
    await talk.prompt("stream 2000 1", rpc="r1")
    items = await talk.until_recorded("r1")
    assert len(list(talk.folder.glob("0*-*"))) > 20
    assert ids(items) == list(range(1, len(items) + 1))
    for after in (1, 37, 38, 39, 1_000, len(items) - 1, len(items), len(items) + 5):
        assert await talk.recorded(after) == items[after:]


async def test_the_oldest_is_let_go_beyond_the_bound(talk: Talk) -> None:
    await talk.box.agent.recorder.start(talk.server, segment=5, held=100_000)
    await talk.prompt("stream 3000 1", rpc="r1")
    await talk.until_recorded("r1")
    items = await talk.recorded()  # once more: what was let go while the last read ran is missing in it
    assert sum(path.stat().st_size for path in talk.folder.iterdir()) <= 100_000
    assert 100 < len(items) < 1_000
    assert ids(items) == list(range(items[0].event_id, items[0].event_id + len(items)))


async def test_a_recorder_that_was_killed_goes_on_where_it_was(talk: Talk) -> None:
    recorder = talk.box.agent.recorder
    await recorder.start(talk.server)
    await talk.prompt("stream 1500 2", rpc="r1")
    await eventually(talk.recorded, lambda items: len(items) > 300, limit=LIMIT)
    [running] = await talk.recorders()
    await talk.box.agent.processes.kill(running.id)
    await recorder.start(talk.server)
    items = await talk.until_recorded("r1")
    assert ids(items) == list(range(1, len(items) + 1))
    assert words(items) == "".join(f"[{n}]" for n in range(1, 1501))


async def test_one_recorder_a_stream(talk: Talk) -> None:
    await asyncio.gather(*(talk.box.agent.recorder.start(talk.server) for _ in range(3)))
    await talk.box.agent.recorder.start(talk.server)
    await eventually(talk.recorders, lambda running: len(running) == 1)
    await talk.prompt("say once", rpc="r1")
    assert words(await talk.until_recorded("r1")).strip() == "once"
    assert len(list(talk.folder.glob("0*-*"))) == 1


async def test_the_token_is_in_no_argv_no_environment_and_no_file(talk: Talk) -> None:
    await talk.box.agent.recorder.start(talk.server)
    await talk.prompt("say hello", rpc="r1")
    await talk.until_recorded("r1")
    [running] = await talk.recorders()
    command = await talk.box.agent.processes.run("/bin/sh", ["-c", f"tr '\\0' '\\n' </proc/{running.pid}/environ"])
    assert "HOME=" in command.stdout
    assert TOKEN not in command.stdout
    home = talk.box.repository.parents[1]
    for process in processes.belonging(home.parent, None, None):  # others' tests start servers with the same token
        with suppress(FileNotFoundError, ProcessLookupError):
            assert TOKEN.encode() not in Path(f"/proc/{process}/cmdline").read_bytes()
    written = [path for path in home.rglob("*") if path.is_file() and path.stat().st_size < 10_000_000]
    assert any(talk.folder in path.parents for path in written)
    assert [path for path in written if TOKEN.encode() in path.read_bytes()] == []
    assert {path.stat().st_mode & 0o077 for path in talk.folder.iterdir()} == {0}


async def test_it_ends_with_its_server_and_nothing_is_left_once_forgotten(talk: Talk) -> None:
    recorder = talk.box.agent.recorder
    await recorder.start(talk.server)
    await talk.box.agent.acp.delete(talk.server)
    await eventually(talk.recorders, lambda running: running == [], limit=LIMIT)
    await recorder.forget(talk.server)
    await recorder.forget(talk.server)
    assert not talk.folder.exists()
    assert await talk.recorded() == []


async def test_one_that_cannot_record_says_why(talk: Talk) -> None:
    with pytest.raises(SandboxRefused, match="did not start"):
        await talk.box.agent.recorder.start("acp_nobody")


async def test_a_file_that_is_not_the_recorders_is_left_alone(talk: Talk) -> None:
    await talk.box.agent.recorder.start(talk.server)
    await talk.prompt("say hello", rpc="r1")
    items = await talk.until_recorded("r1")
    with (talk.folder / "00000000-0").open("wb") as huge:
        huge.truncate(200_000_000)
    (talk.folder / "00000009-1").write_text('\n\nid: x\ndata: {}\n\nid: 99\ndata: [1]\n\nid: 98\ndata: {"a"\n\n')
    assert await talk.recorded() == items


async def test_a_link_to_something_large_is_not_read(talk: Talk) -> None:
    await talk.box.agent.recorder.start(talk.server)
    large = talk.folder.parents[1] / "large"
    with large.open("wb") as file:
        file.truncate(200_000_000)
    (talk.folder / "00000000-0").symlink_to(large)
    with pytest.raises(SandboxRefused, match="longer than"):
        await talk.recorded()


@pytest.mark.parametrize(
    ("after", "expected"),
    [(0, ["1-0", "2-40", "3-80"]), (40, ["1-0", "2-40", "3-80"]), (41, ["2-40", "3-80"]), (500, ["3-80"])],
)
def test_the_segments_that_matter(after: int, expected: list[str]) -> None:
    held = [FileInfo(f"/home/{name}", 10) for name in ("3-80", "lock", "1-0", "2-40")]
    assert segments_after(held, after) == [f"/home/{name}" for name in expected]
