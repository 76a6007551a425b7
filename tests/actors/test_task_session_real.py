"""A session with the real sandbox-agent and the scripted agent in a local sandbox, through the real doors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from foundry.actors.sandbox_instance.door import Sandboxes
from foundry.actors.session_status_sync.times import StreamTimes
from foundry.actors.task_session.door import AcpDoor
from foundry.actors.task_session.views import known_servers
from foundry.contracts.ids import SandboxId
from foundry.contracts.messages import Json
from foundry.contracts.sandbox_provider import AcpServerGone, Endpoint
from foundry.contracts.session_stream import AgentSession, StreamItem
from foundry.contracts.task_session import (
    AnswerPermission,
    CloseSession,
    EntryKind,
    MessageState,
    OpenAgent,
    SessionStatus,
    SessionView,
    StopSession,
)
from foundry.sandboxes.acp import OPEN_ID
from foundry.sandboxes.agent import SandboxAgent
from foundry.sandboxes.processes import ProcessInfo
from foundry.sandboxes.recorder import FOLDER, NAME
from tests.actors.task_session_stage import ADA, SANDBOX, Stage, stage
from tests.sandboxes.conftest import Lab, binary, lab, walls  # noqa: F401
from tests.waiting import eventually
from tests.world.agents import Doors

pytestmark = pytest.mark.slow

LIMIT = 20.0  # seconds; an agent's process starts within two on two busy cores

Open = Callable[..., AbstractAsyncContextManager[Stage]]


def script(*lines: str) -> str:
    return "\n".join(["```script", *lines, "```"])


class NoBlobs:
    """No checkpoint is made here."""

    async def write(self, key: str, content: bytes) -> None:
        raise AssertionError(key)

    async def read(self, key: str) -> bytes | None:
        return None

    async def keys(self, prefix: str) -> list[str]:
        return []

    async def delete(self, key: str) -> None: ...


@pytest.fixture
async def real(lab: Lab, tmp_path: Path) -> AsyncIterator[Open]:  # noqa: F811
    """Opens the stage with doors to one sandbox that runs."""
    made: list[Sandboxes] = []

    async def endpoint(sandbox: SandboxId) -> Endpoint | None:
        found = await lab.provider.find(sandbox)
        return found.endpoint if found else None

    async def doors() -> Doors:
        sandboxes = Sandboxes(lab.provider, b"a secret", endpoint, NoBlobs())
        made.append(sandboxes)
        await sandboxes.create(SANDBOX, ["mock"])
        await sandboxes.start(SANDBOX)
        agent = await sandboxes.reach(SANDBOX)
        await agent.processes.run("mkdir", ["-p", await sandboxes.directory(SANDBOX)])
        return Doors(AcpDoor(sandboxes.reach, sandboxes.directory, stopped=sandboxes.stopped), sandboxes)

    @asynccontextmanager
    async def open_(**options: object) -> AsyncIterator[Stage]:
        options = {"doors": await doors(), "live": True, **options}
        async with stage(f"sqlite:///{tmp_path}/foundry.db", **options) as at:  # type: ignore[arg-type]
            yield at

    yield open_
    for sandboxes in made:
        await sandboxes.close()


def idle(view: SessionView) -> bool:
    return view.status == SessionStatus.IDLE and view.failure is None


async def said(at: Stage) -> list[str]:
    return [e.text.strip() for e in await at.transcript() if e.kind == EntryKind.AGENT]


async def test_a_prompt_from_start_to_end(real: Open) -> None:
    prompt = script("think Hm", "plan [x] A | [>] B", "say Hello there", "run echo out", "say Bye")
    async with real(opened=False, prompt=prompt) as at:
        await _open(at)
        await at.until(idle, LIMIT)
        entries = await at.transcript()
        shown = [e.kind.value for e in entries]
        assert shown == ["user", "thought", "plan", "agent", "tool", "agent", "stop"]
        assert (entries[-1].text, entries[4].data["status"], await said(at)) == (
            "end_turn", "completed", ["Hello there", "Bye"],
        )  # fmt: skip


async def test_its_sandbox_agent_has_the_agent_that_the_session_knows_and_no_other(real: Open) -> None:
    async with real(opened=False, prompt=script("say Hello")) as at:
        await _open(at)
        await at.until(idle, LIMIT)
        there = await at.doors.agents.servers(SANDBOX)
        assert len(there) == 1
        assert set(there) == await at.runtime.read(known_servers)


async def test_a_permission_request_is_answered(real: Open) -> None:
    async with real(opened=False, prompt=script("ask Delete it", "say allowed")) as at:
        await _open(at)
        view = await at.until(lambda v: v.permissions, LIMIT)
        [request] = view.permissions
        assert "Delete it" in request.title
        await at.ask(AnswerPermission(permission=request.id, option=request.options[0].id, person=ADA))
        await at.until(idle, LIMIT)
        assert await said(at) == ["allowed"]


async def test_a_failing_prompt_fails_its_message_only(real: Open) -> None:
    async with real(opened=False, prompt=script("fail no credit")) as at:
        await _open(at)
        view = await at.until(lambda v: v.messages and v.messages[0].state == MessageState.FAILED, LIMIT)
        assert (view.status, view.messages[0].outcome) == (SessionStatus.IDLE, "no credit")
        await at.send(script("say fine"))
        await eventually(lambda: said(at), lambda texts: texts == ["fine"], limit=LIMIT)


async def test_stop_ends_a_silent_agents_prompt(real: Open) -> None:
    async with real(opened=False, prompt=script("say working", "silent")) as at:
        await _open(at)
        await eventually(lambda: said(at), bool, limit=LIMIT)
        await at.ask(StopSession(person=ADA))
        await at.until(idle, LIMIT)
        assert (await at.transcript())[-1].text == "cancelled"


async def test_an_agent_that_ignores_a_stop_is_replaced(real: Open) -> None:
    async with real(opened=False, prompt=script("say working", "hang")) as at:
        await _open(at)
        await eventually(lambda: said(at), bool, limit=LIMIT)
        await at.ask(StopSession(person=ADA))
        await at.until(lambda v: v.status == SessionStatus.ERROR, LIMIT)
        await at.until(idle, LIMIT)
        await at.send(script("say again"))
        await eventually(lambda: said(at), lambda texts: texts == ["working", "again"], limit=LIMIT)


async def test_a_crashed_agent_comes_back_with_its_session(real: Open) -> None:
    """The scripted agent offers load: what it repeats is not shown twice."""
    async with real(opened=False, prompt=script("say first")) as at:
        await _open(at)
        await at.until(idle, LIMIT)
        message = await at.send(script("say second", "crash"))
        unknown = (message, MessageState.UNKNOWN)
        view = await at.until(
            lambda v: v.status == SessionStatus.IDLE and [(m.id, m.state) for m in v.messages] == [unknown], LIMIT
        )
        assert view.failure
        assert view.failure.code == "prompt_unknown"
        await at.send(script("say third"))
        await eventually(lambda: said(at), lambda texts: texts == ["first", "second", "third"], limit=LIMIT)
        notes = [e.text for e in await at.transcript() if e.kind == EntryKind.NOTE]
        assert len(notes) == 2
        assert "kept its session" in notes[1]


async def test_an_agent_whose_sandbox_agent_died_is_started_again_at_once(real: Open, lab: Lab) -> None:  # noqa: F811
    """Its provider says that the sandbox is stopped, so there is nothing to wait for."""
    async with real(opened=False, prompt=script("say first", "hang")) as at:
        await _open(at)
        await eventually(lambda: said(at), bool, limit=LIMIT)
        server = await only_server(at)
        await lab.provider.stop(SANDBOX)
        with pytest.raises(AcpServerGone):
            _ = [item async for item in at.doors.agents.stream(SANDBOX, server, 0)]
        view = await at.until(lambda v: v.status == SessionStatus.IDLE, LIMIT)
        assert [m.state for m in view.messages] == [MessageState.UNKNOWN]
        notes = [e.text for e in await at.transcript() if e.kind == EntryKind.NOTE]
        assert notes[0].endswith(" Foundry is starting the agent again.")  # its end may have been read before


async def history(at: Stage) -> tuple[AgentSession, dict[str, object]]:
    """The session that the agent has had until now, and what a load of it says."""
    agent = await at.doors.sandboxes.reach(SANDBOX)
    [first] = [
        item.message["result"]
        for item in await agent.acp.replay(await only_server(at))
        if item.message.get("id") == OPEN_ID
    ]
    cwd = await at.doors.sandboxes.directory(SANDBOX)
    earlier = AgentSession(server_id="acp_1", agent_session_id=first["sessionId"])
    return earlier, {"sessionId": first["sessionId"], "cwd": cwd, "mcpServers": []}


def chunks(items: list[StreamItem]) -> int:
    updates = [item.message.get("params", {}).get("update", {}) for item in items]
    return [update.get("sessionUpdate") for update in updates].count("agent_message_chunk")


async def test_a_load_that_was_cut_off_is_begun_anew_so_that_its_replay_is_there_once(real: Open) -> None:
    async with real(opened=False, prompt=script("stream 200")) as at:
        await _open(at)
        await at.until(idle, LIMIT)
        earlier, params = await history(at)
        agent = await at.doors.sandboxes.reach(SANDBOX)
        await agent.acp.initialize("acp_cut-try", "mock")
        load = {"jsonrpc": "2.0", "id": "another try", "method": "session/load", "params": params}
        await agent.acp.post("acp_cut-try", load)
        await agent.recorder.start("acp_cut-try")
        opened = await at.doors.agents.open(SANDBOX, "acp_cut-", "mock", earlier=earlier, load=True)
        again = await at.doors.agents.open(SANDBOX, "acp_cut-", "mock", earlier=earlier, load=True)
        assert (opened.replay_ends, again) == (OPEN_ID, opened)
        told = await agent.acp.replay(opened.server_id)
        assert chunks(told) == 200
        assert [i async for i in at.doors.agents.recorded(SANDBOX, opened.server_id, 0)] == told
        assert [i async for i in at.doors.agents.recorded(SANDBOX, "acp_cut-try", 0)] == []
        await at.doors.agents.close(SANDBOX, "acp_cut-")
        assert [one for one in await at.doors.agents.servers(SANDBOX) if one.startswith("acp_cut")] == []
        assert [i async for i in at.doors.agents.recorded(SANDBOX, opened.server_id, 0)] == []


async def test_a_try_that_another_one_overtook_does_not_load_into_the_others_stream(real: Open) -> None:
    """A replica that was frozen goes on where it was: its load would repeat the history as if it were said now."""
    async with real(opened=False, prompt=script("stream 200")) as at:
        await _open(at)
        await at.until(idle, LIMIT)
        earlier, _ = await history(at)
        frozen, thawed = asyncio.Event(), asyncio.Event()
        same = await at.doors.sandboxes.reach(SANDBOX)
        async with SandboxAgent(same.url, at.doors.sandboxes.token(SANDBOX)) as agent:
            load = agent.acp.load_session

            async def load_later(*args: str) -> Json:
                frozen.set()
                await thawed.wait()
                return await load(*args)

            agent.acp.load_session = load_later  # type: ignore[method-assign]

            async def reach(sandbox: SandboxId) -> SandboxAgent:
                return agent

            door = AcpDoor(reach, at.doors.sandboxes.directory)
            overtaken = asyncio.create_task(door.open(SANDBOX, "acp_two-", "mock", earlier=earlier, load=True))
            await frozen.wait()
            opened = await at.doors.agents.open(SANDBOX, "acp_two-", "mock", earlier=earlier, load=True)
            thawed.set()
            with pytest.raises(AcpServerGone):
                await overtaken
            assert await door.open(SANDBOX, "acp_two-", "mock", earlier=earlier, load=True) == opened
        there = await at.doors.sandboxes.reach(SANDBOX)
        assert chunks(await there.acp.replay(opened.server_id)) == 200
        assert [one for one in await at.doors.agents.servers(SANDBOX) if one.startswith("acp_two")] == [
            opened.server_id
        ]


async def only_server(at: Stage) -> str:
    [server] = await at.doors.agents.servers(SANDBOX)
    return server


async def test_a_long_stream_arrives_whole(real: Open) -> None:
    async with real(opened=False, prompt=script("stream 3000")) as at:
        await _open(at)
        await at.until(idle, 60)
        assert await said(at) == ["".join(f"[{n}]" for n in range(1, 3001))]


async def test_a_restart_in_the_middle_loses_and_doubles_nothing(real: Open) -> None:
    async with real(opened=False, prompt=script("stream 300 10")) as at:
        await _open(at)
        await eventually(lambda: said(at), bool, limit=LIMIT)
        session = at.session
    async with real(again=session) as at:
        await at.until(idle, LIMIT)
        assert await said(at) == ["".join(f"[{n}]" for n in range(1, 301))]


async def recorders(at: Stage) -> list[ProcessInfo]:
    processes = (await at.doors.sandboxes.reach(SANDBOX)).processes
    return [one for one in await processes.list() if NAME in one.args and one.running]


async def test_a_recorder_that_was_killed_is_started_again(real: Open) -> None:
    async with real(opened=False, streams=StreamTimes(make_sure=0.2)) as at:
        await _open(at)
        processes = (await at.doors.sandboxes.reach(SANDBOX)).processes
        for _ in range(3):
            [running] = await eventually(lambda: recorders(at), lambda found: len(found) == 1, limit=LIMIT)
            await processes.kill(running.id)
        await eventually(lambda: recorders(at), lambda found: len(found) == 1, limit=LIMIT)


async def test_sandbox_agent_started_anew_means_a_new_agent(real: Open, lab: Lab) -> None:  # noqa: F811
    async with real(opened=False, prompt=script("say first")) as at:
        await _open(at)
        await at.until(idle, LIMIT)
        [before] = await recorders(at)
        await lab.provider.stop(SANDBOX)
        await at.doors.sandboxes.start(SANDBOX)
        await at.until(lambda v: v.status == SessionStatus.ERROR, LIMIT)
        await at.until(idle, LIMIT)
        await at.send(script("say second"))
        await eventually(lambda: said(at), lambda texts: texts == ["first", "second"], limit=LIMIT)
        [after] = await recorders(at)
        assert after.args[3] != before.args[3], "the new server has a recorder of its own"


async def test_a_closed_session_leaves_no_agent_and_no_recording(real: Open) -> None:
    async with real(opened=False) as at:
        await _open(at)
        agent = await at.doors.sandboxes.reach(SANDBOX)
        assert len(await agent.acp.servers()) == 1
        assert len(await agent.files.list(FOLDER)) == 1
        await at.task_says(CloseSession())
        await eventually(agent.acp.servers, lambda servers: servers == [], limit=LIMIT)
        await eventually(lambda: agent.files.list(FOLDER), lambda held: held == [], limit=LIMIT)


async def _open(at: Stage) -> None:
    await at.task_says(OpenAgent())
    await at.until(lambda v: v.status not in (SessionStatus.PENDING,), LIMIT)
