"""Agents through the real sandbox-agent: what its stream shows and what it hides (see `sandboxes/acp.py`)."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from foundry.contracts.sandbox_provider import (
    AcpServerGone,
    AgentRefused,
    AgentUnavailable,
    SandboxRefused,
    SandboxSpec,
)
from foundry.contracts.session_stream import StreamItem
from foundry.sandboxes.acp import AgentExit, agent_exit
from foundry.sandboxes.agent import SandboxAgent
from foundry.sandboxes.local import isolation
from foundry.sandboxes.local.isolation import Walls
from foundry.sandboxes.local.provider import LocalProvider
from tests.sandboxes.conftest import TOKEN, Box, Lab
from tests.waiting import eventually


def script(*lines: str) -> str:
    return "Please:\n```script\n" + "\n".join(lines) + "\n```\n"


def response(rpc_id: str) -> Callable[[StreamItem], bool]:
    return lambda item: item.message.get("id") == rpc_id and "method" not in item.message


def said(items: list[StreamItem]) -> str:
    """The agent's words."""
    updates = [item.message["params"]["update"] for item in items if item.message.get("method") == "session/update"]
    return "".join(u["content"]["text"] for u in updates if u["sessionUpdate"] == "agent_message_chunk")


class Conversation:
    """One agent under the server id `srv`, with a session, followed from its beginning."""

    def __init__(self, box: Box, session: str) -> None:
        self.acp, self.box, self.session = box.agent.acp, box, session
        self.items: list[StreamItem] = []
        self.following = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async for item in self.acp.stream("srv"):
            self.items.append(item)

    async def prompt(self, rpc_id: str, *lines: str) -> None:
        await self.acp.prompt("srv", self.session, rpc_id, script(*lines))

    async def until(self, wanted: Callable[[StreamItem], Any]) -> StreamItem:
        await eventually(lambda: any(wanted(item) for item in self.items))
        return next(item for item in self.items if wanted(item))


@pytest.fixture
async def talk(box: Box) -> AsyncIterator[Conversation]:
    await box.agent.acp.initialize("srv", "mock")
    opened = await box.agent.acp.new_session("srv", str(box.repository))
    made = Conversation(box, opened["sessionId"])
    yield made
    made.following.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await made.following


def asked(item: StreamItem) -> bool:
    return item.message.get("method") == "session/request_permission"


def exited(item: StreamItem) -> AgentExit | None:
    return agent_exit(item.message)


async def test_an_agent_says_what_it_offers(box: Box):
    offered = await box.agent.acp.initialize("srv", "mock")
    assert offered.can_load
    assert not offered.can_resume
    assert offered.agent == "scripted-agent"
    assert [one.server_id for one in await box.agent.acp.servers()] == ["srv"]


async def test_a_turn_streams_edits_and_ends(talk: Conversation):
    await talk.prompt("p1", "say All words are streamed", "edit new.txt <<END", "hello", "END", "commit Add it")
    end = await talk.until(response("p1"))
    assert end.message["result"] == {"stopReason": "end_turn"}
    assert said(talk.items) == "All words are streamed"
    assert [item.event_id for item in talk.items] == list(range(1, len(talk.items) + 1))
    log = await talk.box.agent.processes.run("git", ["log", "--format=%an %s", "--stat"], cwd=str(talk.box.repository))
    assert "Ada Add it" in log.stdout
    assert "new.txt" in log.stdout


@pytest.mark.parametrize(("option", "words"), [("allow", "one\n\ntwo"), ("reject", "two")])
async def test_a_permission_is_asked_and_answered(talk: Conversation, option: str, words: str):
    await talk.prompt("p1", "ask May I", "say one", "say two")
    question = await talk.until(asked)
    assert question.message["params"]["toolCall"]["title"] == "May I"
    assert isinstance(question.message["id"], int)  # an answer has to carry it as the number it is
    await talk.acp.answer_permission("srv", question.message["id"], option)
    assert (await talk.until(response("p1"))).message["result"]["stopReason"] == "end_turn"
    assert said(talk.items).strip() == words


async def test_cancel_ends_the_turn(talk: Conversation):
    await talk.prompt("p1", "say started", "run sleep 60", "say never")
    await talk.until(lambda item: item.message.get("params", {}).get("update", {}).get("sessionUpdate") == "tool_call")
    await talk.acp.cancel("srv", talk.session)
    assert (await talk.until(response("p1"))).message["result"] == {"stopReason": "cancelled"}
    assert said(talk.items) == "started"


async def test_a_refused_prompt_is_an_error_at_once_and_on_the_stream(talk: Conversation):
    with pytest.raises(AgentRefused, match="no keys"):
        await talk.prompt("p1", "fail no keys")
    assert "error" in (await talk.until(response("p1"))).message


async def test_an_agent_that_crashes_shows_only_as_its_exit(talk: Conversation):
    await talk.prompt("p1", "say last words", "crash")
    gone = await talk.until(exited)
    assert agent_exit(gone.message) == AgentExit(1)
    assert said(talk.items) == "last words"
    assert not [item for item in talk.items if response("p1")(item)]  # the prompt is never answered
    assert not talk.following.done()  # the stream goes on as if nothing had happened
    assert [one.server_id for one in await talk.acp.servers()] == ["srv"]  # and it is still listed
    for again in (
        talk.acp.cancel("srv", talk.session),
        talk.acp.initialize("srv", "mock"),  # it is not started anew under its id either
        talk.acp.prompt("srv", talk.session, "p2", "hello"),
    ):
        with pytest.raises(AcpServerGone):
            await again
    await talk.acp.delete("srv")
    await eventually(talk.following.done)
    assert await talk.acp.servers() == []


async def test_an_agent_killed_by_a_signal_has_no_exit_code(talk: Conversation):
    await talk.box.agent.processes.run("pkill", ["-9", "-f", "foundry.devkit.agent"])
    assert agent_exit((await talk.until(exited)).message) == AgentExit(None)


async def test_an_agent_that_ends_instead_of_answering_is_noticed_within_seconds(box: Box):
    home = (await box.agent.processes.run("sh", ["-c", "echo $HOME"])).stdout.strip()
    launcher = f"{home}/.local/share/sandbox-agent/bin/agent_processes/mock-acp"
    await box.agent.files.write(launcher, b"#!/bin/sh\nread line\nexit 7\n")
    with pytest.raises(AgentUnavailable, match="code 7"):
        await asyncio.wait_for(box.agent.acp.initialize("srv", "mock"), 10.0)


async def test_an_unknown_server_id_is_gone_and_an_unknown_agent_unavailable(box: Box):
    with pytest.raises(AcpServerGone):
        await box.agent.acp.cancel("nowhere", "session")
    with pytest.raises(AcpServerGone):
        await anext(box.agent.acp.stream("nowhere"))
    await box.agent.acp.delete("nowhere")
    with pytest.raises(AgentUnavailable):
        await box.agent.acp.initialize("srv", "no-such-agent")


async def test_a_server_id_belongs_to_one_agent(talk: Conversation):
    with pytest.raises(SandboxRefused, match="already exists"):
        await talk.acp.initialize("srv", "codex")


async def test_session_new_again_is_another_session_and_replay_finds_both(talk: Conversation):
    second = await talk.acp.new_session("srv", str(talk.box.repository))
    assert second["sessionId"] != talk.session
    found = [item.message.get("result", {}) for item in await talk.acp.replay("srv")]
    assert [result["sessionId"] for result in found if "sessionId" in result] == [talk.session, second["sessionId"]]


async def test_a_second_prompt_in_a_running_session_is_refused_by_the_agent(talk: Conversation):
    await talk.prompt("p1", "sleep 30")
    with pytest.raises(AgentRefused, match="a prompt is already running"):
        await talk.prompt("p2", "say x")


async def test_the_stream_goes_on_after_the_last_seen_event(talk: Conversation):
    await talk.prompt("p1", "stream 20")
    end = await talk.until(response("p1"))
    rest = await talk.acp.replay("srv", end.event_id - 4)
    assert [item.event_id for item in rest] == [end.event_id - 3, end.event_id - 2, end.event_id - 1, end.event_id]
    assert said(rest) == "[18][19][20]"
    assert await talk.acp.replay("srv", end.event_id + 100) == []


async def test_after_more_than_1024_events_the_stream_begins_later_than_asked_for(talk: Conversation):
    await talk.prompt("p1", "stream 1200")
    end = await talk.until(response("p1"))
    assert said(talk.items) == "".join(f"[{number}]" for number in range(1, 1201))
    kept = await talk.acp.replay("srv", 2)
    assert kept[0].event_id == end.event_id - 1023  # not 3, and nothing says so
    assert len(kept) == 1024


async def test_a_slow_caller_loses_nothing(talk: Conversation):
    got: list[StreamItem] = []
    stream = talk.acp.stream("srv")
    got.append(await anext(stream))  # connected, and not asked again for a while
    await talk.prompt("p1", "stream 3000 0 400")
    await talk.until(response("p1"))
    async for item in stream:
        got.append(item)
        if response("p1")(item):
            break
    assert [item.event_id for item in got] == list(range(1, 3004))  # initialize, session/new, 3,000 chunks, the end


async def test_a_turn_outlives_the_client_that_asked_for_it(talk: Conversation):
    async with SandboxAgent(talk.box.agent.url, TOKEN) as other:
        await other.acp.prompt("srv", talk.session, "p1", script("sleep 0.6", "say still here"))
    assert (await talk.until(response("p1"))).message["result"] == {"stopReason": "end_turn"}
    assert said(talk.items) == "still here"


async def test_delete_ends_the_agents_process_and_the_stream(talk: Conversation):
    await talk.prompt("p1", "sleep 60")
    await talk.acp.delete("srv")
    await eventually(talk.following.done)
    assert agent_exit(talk.items[-1].message) == AgentExit(0)  # by its own will: its stdin was closed
    assert await talk.acp.servers() == []
    assert await agents_alive(talk.box) == 0


async def test_delete_kills_an_agent_that_does_not_end_and_spares_another(talk: Conversation):
    home = (await talk.box.agent.processes.run("sh", ["-c", "echo $HOME"])).stdout.strip()
    launcher = f"{home}/.local/share/sandbox-agent/bin/agent_processes/mock-acp"
    answer = '{"jsonrpc":"2.0","id":"foundry-initialize","result":{"protocolVersion":1}}'
    deaf = f"#!/bin/sh\ntrap '' TERM HUP\nread line\necho '{answer}'\nwhile :; do sleep 3131; done\n"
    await talk.box.agent.files.write(launcher, deaf.encode())
    await talk.acp.initialize("deaf", "mock")
    await talk.acp.delete("deaf")
    left = await talk.box.agent.processes.run("pgrep", ["-f", "sleep 3131"])
    assert left.stdout == ""
    await talk.prompt("p1", "say unharmed")
    await talk.until(response("p1"))
    assert said(talk.items) == "unharmed"


async def test_an_earlier_session_is_loaded_with_its_history_by_a_new_process(talk: Conversation):
    await talk.prompt("p1", "say remember me")
    await talk.until(response("p1"))
    await talk.acp.delete("srv")
    await talk.acp.initialize("srv-2", "mock")
    await talk.acp.load_session("srv-2", talk.session, str(talk.box.repository))
    items = await talk.acp.replay("srv-2")
    kinds = [item.message["params"]["update"]["sessionUpdate"] for item in items if "params" in item.message]
    assert kinds == ["user_message_chunk", "agent_message_chunk"]
    assert said(items) == "remember me"
    assert "error" not in items[-1].message  # the history comes before the response
    with pytest.raises(AgentRefused, match="unknown session"):
        await talk.acp.load_session("srv-2", "unknown", str(talk.box.repository))


async def test_after_a_restart_of_sandbox_agent_no_server_id_is_known(talk: Conversation, lab: Lab):
    await lab.provider.stop("sbx_box")
    endpoint = await lab.provider.start("sbx_box", TOKEN)
    async with SandboxAgent(endpoint.url, TOKEN) as agent:
        assert await agent.acp.servers() == []
        with pytest.raises(AcpServerGone):
            await anext(agent.acp.stream("srv"))


async def agents_alive(box: Box) -> int:
    return len((await box.agent.processes.run("pgrep", ["-f", "foundry.devkit.agent"])).stdout.split())


async def test_the_launcher_counts_as_installed_and_is_not_replaced(box: Box):
    assert await box.agent.install_agent("mock") is False
    with pytest.raises(AgentUnavailable):
        await box.agent.install_agent("no-such-agent")


async def test_a_launcher_stands_for_an_agent_that_would_be_downloaded_otherwise(lab: Lab, binary: Path, walls: Walls):
    nowhere = "http://127.0.0.1:9"
    provider = LocalProvider(
        lab.data_dir,
        launchers={"opencode": [sys.executable, "-m", "foundry.devkit.agent"]},
        extra_read_only=isolation.python_paths(),
        env={"HTTPS_PROXY": nowhere},  # no download can succeed
        binary=binary,
        walls=walls,
    )
    await provider.create("sbx_1", SandboxSpec(agents=["opencode", "codex"]))
    endpoint = await provider.start("sbx_1", TOKEN)
    async with SandboxAgent(endpoint.url, TOKEN) as agent:
        assert await agent.install_agent("opencode") is False
        assert (await agent.acp.initialize("srv", "opencode")).agent == "scripted-agent"
        with pytest.raises(AgentUnavailable, match="install failed"):
            await agent.install_agent("codex")
