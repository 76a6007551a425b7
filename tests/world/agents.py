"""Agents and their sandbox, scripted: a test says what an agent says, and fails calls on request."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from foundry.contracts.ids import SandboxId
from foundry.contracts.messages import Json
from foundry.contracts.sandbox_provider import AcpServerGone, Endpoint
from foundry.contracts.session_stream import AgentSession, StreamItem
from tests.world.outside import Outside


@dataclass
class Server:
    """One ACP server's log and what was said to it."""

    items: list[StreamItem] = field(default_factory=list[StreamItem])
    news: asyncio.Event = field(default_factory=asyncio.Event)
    gone: bool = False
    lost: int = 0  # how many events it no longer has
    recorded: list[StreamItem] = field(default_factory=list[StreamItem])  # what the recorder has of it


class Agents:
    """The agents' door, scripted: a test says what the agent says, and fails calls on request."""

    def __init__(self) -> None:
        self.servers: dict[str, Server] = {}
        self.calls: list[tuple[str, str]] = []
        self.prompts: list[tuple[str, str]] = []  # JSON-RPC id, text
        self.answers: list[tuple[str, str | None]] = []
        self.fail: dict[str, list[Exception]] = {}
        self.down: Exception | None = None  # what connections fail with
        self.hold = asyncio.Event()  # cleared: prompts wait here before they are taken
        self.hold.set()
        self.can_load = False
        self.history: list[Json] = []  # what a load tells
        self.kept: int | None = None  # how many events of that the stream still has
        self.records = True  # whether the recorder has it
        self.holed = 0  # how many loads reach nobody whole
        self._sessions = itertools.count(1)

    def _call(self, name: str, what: str) -> None:
        self.calls.append((name, what))
        if self.fail.get(name):
            raise self.fail[name].pop(0)

    async def open(
        self, sandbox: SandboxId, server_id: str, agent: str, *, earlier: AgentSession | None, load: bool = False
    ) -> AgentSession:
        self._call("open", server_id)
        self.servers[server_id] = Server()
        kept = earlier is not None and self.can_load
        if kept and self.history:
            self.emit(server_id, *self.history, {"jsonrpc": "2.0", "id": "load", "result": {}})
            server = self.servers[server_id]
            if self.holed:
                self.holed -= 1
                del server.items[1]
            server.recorded = list(server.items) if self.records else []
            server.lost = len(server.items) - (self.kept or len(server.items))
            del server.items[: server.lost]
        number = earlier.agent_session_id if earlier and kept else f"agent-{next(self._sessions)}"
        return AgentSession(
            server_id=server_id, agent_session_id=number, can_load=self.can_load, replay_ends="load" if kept else ""
        )

    async def prompt(self, sandbox: SandboxId, session: AgentSession, rpc_id: str, text: str) -> None:
        self._call("prompt", text)
        await self.hold.wait()
        self.prompts.append((rpc_id, text))

    async def cancel(self, sandbox: SandboxId, session: AgentSession) -> None:
        self._call("cancel", session.server_id)

    async def answer(self, sandbox: SandboxId, session: AgentSession, rpc_id: str, option: str | None) -> None:
        self._call("answer", rpc_id)
        self.answers.append((rpc_id, option))

    async def stream(self, sandbox: SandboxId, server_id: str, after: int) -> AsyncIterator[StreamItem]:
        self.calls.append(("stream", server_id))
        if self.down:
            raise self.down
        server = self.servers[server_id]
        position = 0
        while not server.gone:
            while position < len(server.items):
                item = server.items[position]
                position += 1
                if item.event_id > after:
                    yield item
            server.news.clear()
            await server.news.wait()
            if self.down:
                raise self.down
        raise AcpServerGone(f"{server_id} is not known")

    async def record(self, sandbox: SandboxId, server_id: str) -> None:
        self._call("record", server_id)

    async def recorded(self, sandbox: SandboxId, server_id: str, after: int) -> AsyncIterator[StreamItem]:
        self._call("recorded", server_id)
        for item in self.servers[server_id].recorded:
            if item.event_id > after:
                yield item

    async def end(self, sandbox: SandboxId, server_id: str) -> None:
        self._call("end", server_id)

    async def close(self, sandbox: SandboxId, server_id: str) -> None:
        self._call("close", server_id)
        if server_id in self.servers:
            self.lose(server_id)

    # what the test does

    def emit(self, server_id: str, *messages: Json) -> None:
        server = self.servers[server_id]
        for message in messages:
            server.items.append(StreamItem(event_id=len(server.items) + server.lost + 1, message=message))
        server.news.set()

    def lose(self, server_id: str) -> None:
        self.servers[server_id].gone = True
        self.servers[server_id].news.set()

    def break_connections(self, error: Exception | None) -> None:
        self.down = error
        for server in self.servers.values():
            server.news.set()


class Sandboxes:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail: dict[str, list[Exception]] = {}

    async def start(self, sandbox: SandboxId) -> Endpoint:
        self.calls.append("start")
        if self.fail.get("start"):
            raise self.fail["start"].pop(0)
        return Endpoint(url="http://127.0.0.1:1")

    async def install_agent(self, sandbox: SandboxId, agent: str) -> None:
        self.calls.append("install")
        if self.fail.get("install"):
            raise self.fail["install"].pop(0)


class Doors(Outside):
    """The outside of one session: its agents and its sandbox, scripted unless given. There is no GitHub.

    Args:
        live: workflows and workers run; else the test plays them.
    """

    def __init__(self, agents: Any = None, sandboxes: Any = None, *, live: bool = True) -> None:
        super().__init__()
        self.engine = live
        self.agents = agents or Agents()
        self.sandboxes = sandboxes or Sandboxes()


# what an agent says


def update(which: str, **fields: Any) -> Json:
    params = {"sessionId": "agent-1", "update": {"sessionUpdate": which, **fields}}
    return {"jsonrpc": "2.0", "method": "session/update", "params": params}


def words(text: str, kind: str = "agent_message_chunk", **fields: Any) -> Json:
    return update(kind, content={"type": "text", "text": text}, **fields)


def stopped(rpc_id: str, reason: str = "end_turn") -> Json:
    return {"jsonrpc": "2.0", "id": rpc_id, "result": {"stopReason": reason}}


def refused(rpc_id: str, message: str = "no credit") -> Json:
    return {"jsonrpc": "2.0", "id": rpc_id, "error": {"code": -32000, "message": message}}


def asks(rpc_id: str | int, title: str = "Run make", **call: Any) -> Json:
    options = [
        {"optionId": "yes", "name": "Allow", "kind": "allow_once"},
        {"optionId": "no", "name": "Reject", "kind": "reject_once"},
    ]
    params = {"sessionId": "agent-1", "toolCall": {"toolCallId": "t1", "title": title, **call}, "options": options}
    return {"jsonrpc": "2.0", "id": rpc_id, "method": "session/request_permission", "params": params}
