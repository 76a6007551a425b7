"""A local sandbox: made once, started once, outliving Foundry, and gone without a trace when deleted."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from foundry.contracts.sandbox_provider import (
    ProviderState,
    SandboxGone,
    SandboxSpec,
    SandboxStartFailed,
    SandboxTokenRefused,
    SandboxUnreachable,
)
from foundry.sandboxes.agent import SandboxAgent
from foundry.sandboxes.local import processes
from foundry.sandboxes.local.isolation import Walls
from foundry.sandboxes.local.provider import LocalProvider, end_all
from tests.sandboxes.conftest import TOKEN, Lab, make
from tests.waiting import eventually


async def test_a_sandbox_is_created_started_stopped_and_deleted_and_each_may_be_repeated(lab: Lab):
    provider = lab.provider
    assert await provider.find("sbx_1") is None
    await provider.create("sbx_1", SandboxSpec())
    created = await provider.create("sbx_1", SandboxSpec())
    assert created.state is ProviderState.STOPPED
    first, second = await asyncio.gather(provider.start("sbx_1", TOKEN), provider.start("sbx_1", TOKEN))
    assert first == second
    async with SandboxAgent(first.url, TOKEN) as agent:
        await agent.files.write("kept.txt", b"kept")
    assert (await provider.create("sbx_1", SandboxSpec())).endpoint == first

    await provider.stop("sbx_1")
    await provider.stop("sbx_1")
    stopped = await provider.find("sbx_1")
    assert stopped is not None
    assert stopped.state is ProviderState.STOPPED
    assert processes.belonging(lab.data_dir / "sandboxes" / "sbx_1", first.pid, first.started) == set()

    again = await provider.start("sbx_1", TOKEN)
    async with SandboxAgent(again.url, TOKEN) as agent:
        assert await agent.files.read("kept.txt") == b"kept"
    assert "server listening" in await provider.log("sbx_1")
    assert len(await provider.log("sbx_1", 20)) <= 20
    assert await provider.list() == ["sbx_1"]

    await provider.delete("sbx_1")
    await provider.delete("sbx_1")
    assert await provider.list() == []
    assert await provider.find("sbx_1") is None
    with pytest.raises(SandboxGone):
        await provider.start("sbx_1", TOKEN)


async def test_another_token_is_told_apart_from_nobody_answering(lab: Lab):
    await lab.provider.create("sbx_1", SandboxSpec())
    endpoint = await lab.provider.start("sbx_1", TOKEN)
    async with SandboxAgent(endpoint.url, "another") as agent:
        with pytest.raises(SandboxTokenRefused):
            await agent.health()
    await lab.provider.stop("sbx_1")
    async with SandboxAgent(endpoint.url, TOKEN) as agent:
        with pytest.raises(SandboxUnreachable):
            await agent.health()


async def test_one_that_runs_with_another_token_is_replaced(lab: Lab):
    await lab.provider.create("sbx_1", SandboxSpec())
    first = await lab.provider.start("sbx_1", "an-old-token")
    second = await lab.again().start("sbx_1", TOKEN)
    assert second.pid != first.pid
    assert processes.started(first.pid or 0) != first.started


async def test_the_token_is_in_no_file_and_in_no_command_line(lab: Lab):
    await lab.provider.create("sbx_1", SandboxSpec())
    await lab.provider.start("sbx_1", TOKEN)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        assert TOKEN.encode() not in words
    files = [path for path in lab.data_dir.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


async def test_it_outlives_a_foundry_that_is_killed_and_is_found_again(lab: Lab):
    script = """
import asyncio, sys, time
from pathlib import Path
from foundry.sandboxes.local.provider import LocalProvider
from tests.sandboxes.conftest import TOKEN, make
from foundry.contracts.sandbox_provider import SandboxSpec
from foundry.sandboxes.local.isolation import Walls
provider = make(Path(sys.argv[1]), Path(sys.argv[2]), Walls(sys.argv[3] or None, None))
async def main():
    await provider.create("sbx_1", SandboxSpec())
    print((await provider.start("sbx_1", TOKEN)).model_dump_json(), flush=True)
    time.sleep(60)
asyncio.run(main())
"""
    arguments = [str(lab.data_dir), str(lab.provider._binary), lab.provider._walls.bwrap or ""]
    foundry = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert foundry.stdout is not None
    line = (await foundry.stdout.readline()).decode()
    foundry.kill()
    await foundry.wait()
    found = await lab.provider.find("sbx_1")
    assert found is not None
    assert found.endpoint is not None
    assert found.endpoint.model_dump_json() == line.strip()
    assert await lab.provider.start("sbx_1", TOKEN) == found.endpoint


async def test_what_a_foundry_killed_before_its_record_left_behind_is_ended_by_the_next_start(lab: Lab):
    await lab.provider.create("sbx_1", SandboxSpec())
    first = await lab.provider.start("sbx_1", TOKEN)
    (lab.data_dir / "sandboxes" / "sbx_1" / "record.json").write_text('{"port": 1}')
    second = await lab.again().start("sbx_1", TOKEN)
    assert second.pid != first.pid
    assert processes.started(first.pid or 0) != first.started


async def test_a_record_of_another_process_with_the_same_pid_is_not_believed(lab: Lab):
    await lab.provider.create("sbx_1", SandboxSpec())
    record = f'{{"port": 1, "pid": {os.getpid()}, "started": 1}}'
    (lab.data_dir / "sandboxes" / "sbx_1" / "record.json").write_text(record)
    found = await lab.again().find("sbx_1")
    assert found is not None
    assert found.state is ProviderState.STOPPED
    await lab.again().stop("sbx_1")  # and this test goes on


async def test_a_killed_one_is_seen_as_stopped_and_can_be_started_again(lab: Lab):
    await lab.provider.create("sbx_1", SandboxSpec())
    first = await lab.provider.start("sbx_1", TOKEN)
    os.killpg(first.pid or 0, signal.SIGKILL)
    found = await eventually(lambda: lab.provider.find("sbx_1"), lambda seen: seen is not None and not seen.endpoint)
    assert found is not None
    assert found.state is ProviderState.STOPPED
    assert await lab.provider.start("sbx_1", TOKEN) != first


async def test_delete_removes_what_agents_made_read_only_and_follows_no_link(lab: Lab, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "file").write_text("mine")
    await lab.provider.create("sbx_1", SandboxSpec())
    work = lab.data_dir / "sandboxes" / "sbx_1" / "work"
    (work / "shut").mkdir()
    (work / "shut" / "file").write_text("x")
    (work / "shut" / "link").symlink_to(outside)
    (work / "shut" / "file").chmod(0o400)
    (work / "shut").chmod(0o500)
    await lab.provider.delete("sbx_1")
    assert not work.exists()
    assert (outside / "file").read_text() == "mine"
    assert outside.stat().st_mode & 0o777 == 0o755


async def test_a_launcher_is_never_written_through_an_agents_link(lab: Lab, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    await lab.provider.create("sbx_1", SandboxSpec())
    (lab.data_dir / "sandboxes" / "sbx_1" / "home" / ".local").symlink_to(outside)
    with pytest.raises(OSError, match=r"\.local"):
        await lab.provider.create("sbx_1", SandboxSpec(agents=["mock"]))
    assert list(outside.iterdir()) == []


async def test_stop_ends_what_left_the_session_too(lab: Lab, binary: Path):
    provider = make(lab.data_dir, binary, Walls(None, "not isolated"))
    await provider.create("sbx_1", SandboxSpec())
    endpoint = await provider.start("sbx_1", TOKEN)
    async with SandboxAgent(endpoint.url, TOKEN) as agent:
        await agent.processes.start("setsid", ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"])
        mark = lab.data_dir / "sandboxes" / "sbx_1"
        await eventually(lambda: len(processes.belonging(mark, None, None)), lambda count: count >= 3)
    await provider.stop("sbx_1")
    assert processes.belonging(mark, endpoint.pid, endpoint.started) == set()


async def test_all_sandboxes_of_a_data_directory_end_at_once_and_those_of_others_run_on(lab: Lab, tmp_path: Path):
    other = make(tmp_path / "other", lab.provider._binary, lab.provider._walls)
    ids = ["sbx_1", "sbx_2", "sbx_3"]
    for one in ids:
        await lab.provider.create(one, SandboxSpec())
        await lab.provider.start(one, TOKEN)
    await other.create("sbx_1", SandboxSpec())
    theirs = await other.start("sbx_1", TOKEN)
    try:
        (lab.data_dir / "sandboxes" / "sbx_2" / "record.json").unlink()  # its Foundry was killed before it wrote it
        gone = lab.data_dir / "sandboxes" / "sbx_gone"  # its directory is removed, but one of its processes runs
        orphan = await asyncio.create_subprocess_exec("sleep", "60", env={processes.MARK: str(gone)})

        ended = await asyncio.to_thread(end_all, lab.data_dir)
        assert ended.sandboxes == {*ids, "sbx_gone"}
        assert ended.processes >= 4
        assert ended.left == set()
        assert await orphan.wait() == -signal.SIGTERM
        for one in ids:
            assert processes.belonging(lab.data_dir / "sandboxes" / one, None, None) == set()
            found = await lab.provider.find(one)
            assert found is not None
            assert found.state is ProviderState.STOPPED
        assert (await other.find("sbx_1") or theirs).endpoint == theirs
        assert await asyncio.to_thread(end_all, lab.data_dir) == (set(), 0, set())
        assert await lab.provider.start("sbx_1", TOKEN)
    finally:
        await other.delete("sbx_1")


async def test_one_that_cannot_start_says_why(lab: Lab, walls: Walls):
    broken = make(lab.data_dir, Path("/bin/false"), walls)
    await broken.create("sbx_1", SandboxSpec())
    with pytest.raises(SandboxStartFailed, match="exited at once"):
        await broken.start("sbx_1", TOKEN)


async def test_nothing_of_foundrys_environment_reaches_a_sandbox(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FOUNDRY_SECRET_KEY", "do-not-leak")
    await lab.provider.create("sbx_1", SandboxSpec(env={"GIVEN": "yes"}))
    endpoint = await lab.provider.start("sbx_1", TOKEN)
    async with SandboxAgent(endpoint.url, TOKEN) as agent:
        env = (await agent.processes.run("env")).stdout
        every = (await agent.processes.run("sh", ["-c", "cat /proc/[0-9]*/environ 2>/dev/null"])).stdout
    assert "GIVEN=yes" in env
    home = lab.data_dir / "sandboxes" / "sbx_1" / "home"
    assert f"HOME={home}\n" in env
    assert "do-not-leak" not in env
    assert "do-not-leak" not in every or lab.provider.warning


async def test_walls_show_the_system_read_only_and_nothing_of_foundrys(lab: Lab, walls: Walls):
    if walls.bwrap is None:
        pytest.skip(f"bubblewrap does not work here: {walls.warning}")
    await lab.provider.create("sbx_1", SandboxSpec())
    await lab.provider.create("sbx_2", SandboxSpec())
    (lab.data_dir / "foundry.db").write_text("secret")
    endpoint = await lab.provider.start("sbx_1", TOKEN)
    own = lab.data_dir / "sandboxes" / "sbx_1"

    async with SandboxAgent(endpoint.url, TOKEN) as agent:

        async def sh(command: str) -> str:
            done = await agent.processes.run("sh", ["-c", f"({command}) 2>&1; echo code $?"])
            return done.stdout.strip()

        assert await sh(f"ls {lab.data_dir}") == "sandboxes\ncode 0"
        assert await sh(f"ls {lab.data_dir}/sandboxes") == "sbx_1\ncode 0"
        assert await sh(f"ls {own}") == "home\nwork\ncode 0"
        assert (await sh(f"cat {lab.data_dir}/foundry.db")).endswith("code 1")
        assert "ead-only" in await sh("touch /usr/x")
        assert "ead-only" in await sh("touch /etc/x")
        assert not (await sh("cat /etc/shadow")).startswith("root:")
        assert (await sh(f"touch {own}/work/x $HOME/x /tmp/x")) == "code 0"
        assert (await sh(f"kill -0 {os.getpid()}")).endswith("code 1")
        assert (await sh("id -un")).startswith("foundry")
        assert "0000000000000000" in await sh("grep CapEff /proc/self/status")
    assert not Path("/tmp/x").exists()


async def test_the_data_directory_is_hidden_even_where_something_shown_holds_it(
    lab: Lab, binary: Path, walls: Walls, tmp_path: Path
):
    if walls.bwrap is None:
        pytest.skip(f"bubblewrap does not work here: {walls.warning}")
    (tmp_path / "shown").write_text("shown")
    (lab.data_dir / "tools").mkdir(parents=True)
    (lab.data_dir / "foundry.db").write_text("secret")
    shown = [tmp_path, lab.data_dir / "tools"]
    provider = LocalProvider(lab.data_dir, extra_read_only=shown, binary=binary, walls=walls)
    await provider.create("sbx_1", SandboxSpec())
    endpoint = await provider.start("sbx_1", TOKEN)
    async with SandboxAgent(endpoint.url, TOKEN) as agent:
        seen = (await agent.processes.run("ls", [str(tmp_path), str(lab.data_dir)])).stdout
    assert seen.split() == [f"{tmp_path}:", "data", "shown", f"{lab.data_dir}:", "sandboxes", "tools"]


def test_without_walls_there_is_a_warning_people_can_read(lab: Lab, binary: Path, monkeypatch: pytest.MonkeyPatch):
    from foundry.sandboxes.local import isolation

    monkeypatch.setenv("PATH", "/nowhere")
    probed = isolation.probe()
    assert probed.bwrap is None
    assert "not isolated" in (make(lab.data_dir, binary, probed).warning or "")
