"""Commands, long-lived processes and files in a sandbox."""

from __future__ import annotations

import pytest

from foundry.contracts.errors import NotFound
from foundry.contracts.sandbox_provider import SandboxPathMissing, SandboxRefused
from tests.sandboxes.conftest import Box
from tests.waiting import eventually


async def test_a_command_runs_to_its_end(box: Box):
    command = 'echo "$GREETING"; pwd; echo failure >&2; exit 3'
    done = await box.agent.processes.run("sh", ["-c", command], env={"GREETING": "hello"}, cwd=str(box.repository))
    assert done.exit_code == 3
    assert done.stdout == f"hello\n{box.repository}\n"
    assert done.stderr == "failure\n"
    assert not done.timed_out


async def test_what_is_given_to_one_command_is_not_in_another(box: Box):
    await box.agent.processes.run("true", env={"GIT_TOKEN": "secret"})
    assert "GIT_TOKEN" not in (await box.agent.processes.run("env")).stdout


async def test_a_command_past_its_timeout_is_killed(box: Box):
    done = await box.agent.processes.run("sleep", ["30"], timeout=0.2)
    assert done.timed_out
    assert done.exit_code is None


async def test_output_beyond_the_limit_is_cut(box: Box):
    done = await box.agent.processes.run("sh", ["-c", "yes | head -c 100000"], output_limit=1000)
    assert len(done.stdout) == 1000


async def test_more_than_the_servers_own_limits_can_be_asked_for(box: Box):
    wide = "yes | head -c 1500000"
    done = await box.agent.processes.run("sh", ["-c", wide], output_limit=2_000_000, timeout=900.0)
    assert len(done.stdout) == 1_500_000
    limits = await box.agent.calls.ask("GET", "/v1/processes/config")
    assert limits["maxRunTimeoutMs"] == 900_000


async def test_a_missing_command_is_refused_with_its_words(box: Box):
    with pytest.raises(SandboxRefused, match="No such file"):
        await box.agent.processes.run("no-such-command")


async def test_a_long_lived_process_is_written_to_and_killed(box: Box):
    processes = box.agent.processes
    started = await processes.start("sh", ["-c", "trap '' TERM; echo ready; exec cat"])
    await eventually(lambda: processes.logs(started.id), lambda said: said == b"ready\n")
    await processes.write(started.id, b"\xff and more\n")
    await eventually(lambda: processes.logs(started.id), lambda said: said == b"ready\n\xff and more\n")
    assert [(one.id, one.running) for one in await processes.list()] == [(started.id, True)]
    assert not (await processes.kill(started.id)).running
    await processes.forget(started.id)
    with pytest.raises(NotFound):
        await processes.get(started.id)


async def test_a_process_that_ends_keeps_its_exit_code_and_its_output(box: Box):
    started = await box.agent.processes.start("sh", ["-c", "echo bye; exit 4"])
    ended = await eventually(lambda: box.agent.processes.get(started.id), lambda one: not one.running)
    assert ended.exit_code == 4
    assert await box.agent.processes.logs(started.id) == b"bye\n"


async def test_a_terminal_is_a_terminal(box: Box):
    started = await box.agent.processes.start("sh", ["-c", "test -t 0 && echo tty"], tty=True)
    await eventually(lambda: box.agent.processes.logs(started.id), lambda said: b"tty" in said)


async def test_files_are_written_read_listed_and_deleted(box: Box):
    files, place = box.agent.files, f"{box.repository}/deep/er"
    content = bytes(range(256)) * 1000
    await files.write(f"{place}/file", content)
    await files.write(f"{place}/empty", b"")
    await files.write(f"{place}/json.json", b'{"a": 1}')
    assert await files.read(f"{place}/file") == content
    assert await files.read(f"{place}/empty") == b""
    assert await files.read(f"{place}/json.json") == b'{"a": 1}'
    assert sorted((info.path, info.size) for info in await files.list(place)) == [
        (f"{place}/empty", 0),
        (f"{place}/file", 256_000),
        (f"{place}/json.json", 8),
    ]
    await files.delete(place, recursive=True)
    for missing in (files.read(place), files.list(place), files.delete(place)):
        with pytest.raises(SandboxPathMissing):
            await missing
