"""Agents through sandbox-agent's ACP proxy. Foundry sends JSON-RPC by POST; everything from the agent arrives on one
event stream.

A *server id* names one agent process and one event numbering. The caller chooses it and never uses it twice.

Behaviour of 0.4.2, as tested (tests/sandboxes/test_acp.py checks each point against the real server):

- Event ids are 1, 2, 3, … without holes. Responses to our own requests are numbered too. sandbox-agent keeps the last
  1,024 events: after a longer absence the stream silently starts at a higher id than requested. A future id is not
  refused; the stream sends nothing until the numbering has passed it.
- Every response appears on the stream, whoever sent the request and whether or not its POST is still open.
- When an agent process exits, the only sign is one event `_adapter/agent_exited {code, success}` (code null: by a
  signal). The stream stays open with heartbeats, the server id stays listed, and pending requests get no response
  (their POST hangs until 120 s). Any later POST is a 502 "failed writing to agent stdin", here AcpServerGone. The agent
  never starts again under that server id: delete it and choose another.
- A line of agent output that is not JSON arrives as `_adapter/invalid_stdout {error, raw}`. The agent's stderr goes
  only to sandbox-agent's log.
- DELETE forgets the server id at once, but responds only when the agent's process has exited. Only a closed stdin makes
  the process exit, and stdin closes when no request holds it: neither DELETE's own connection nor the POST of a running
  prompt. The stream ends with the process. `delete` closes both connections and kills what remains.
- The list of servers contains everything not deleted, including dead agents. After a restart of sandbox-agent it is
  empty.
- A second `session/new` creates one more session in the same process. A known server id with another agent is a 409.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx

from foundry.contracts.errors import FoundryError
from foundry.contracts.messages import Json
from foundry.contracts.sandbox_provider import AgentRefused, AgentUnavailable, SandboxRefused, SandboxUnreachable
from foundry.contracts.session_stream import StreamItem
from foundry.sandboxes.calls import Calls
from foundry.sandboxes.processes import Processes
from foundry.sandboxes.sse import events

PROTOCOL_VERSION = 1  # of ACP
REQUEST_LIMIT = 125.0  # seconds; sandbox-agent itself gives up a request after 120
PROMPT_GRACE = 0.25  # seconds within which the agent refuses a prompt, if it refuses it
STREAM_QUIET = 45.0  # seconds without a byte; sandbox-agent writes a keep-alive every 15
EXIT_LOOK = 1.0  # seconds without a response; then a request checks whether the agent's process has exited
DELETE_LIMIT = 0.5  # seconds; DELETE responds at once if the process has exited, and never otherwise
END_LIMIT = 1.0  # seconds that an agent has to exit after its stdin closed, before it is killed
KILL_LIMIT = 5.0  # seconds after SIGKILL
INITIALIZE_ID = "foundry-initialize"
OPEN_ID = "foundry-open"

RpcId = str | int


@dataclass(frozen=True)
class Initialized:
    """The agent's capabilities."""

    can_load: bool
    can_resume: bool
    agent: str
    raw: Json


@dataclass(frozen=True)
class ServerInfo:
    server_id: str
    created_ms: int  # Unix time; within milliseconds of its agent process's start


@dataclass(frozen=True)
class AgentExit:
    """The agent's process has exited."""

    code: int | None  # None: by a signal


def agent_exit(message: Json) -> AgentExit | None:
    """Return the agent's exit that a stream message reports, or None."""
    if message.get("method") != "_adapter/agent_exited":
        return None
    return AgentExit((message.get("params") or {}).get("code"))


class Acp:
    """The ACP client. Every method raises AcpServerGone if sandbox-agent does not know the server id."""

    def __init__(self, calls: Calls, processes: Processes) -> None:
        self._calls = calls
        self._processes = processes
        self._posting: dict[asyncio.Task[Json | None], str] = {}  # prompts with a running turn, and their server ids

    async def close(self) -> None:
        for task in list(self._posting):
            task.cancel()
        await asyncio.gather(*self._posting, return_exceptions=True)

    async def servers(self) -> list[ServerInfo]:
        found = await self._calls.ask("GET", "/v1/acp")
        return [ServerInfo(one["serverId"], one["createdAtMs"]) for one in found["servers"]]

    async def post(
        self, server_id: str, message: Json, *, agent: str | None = None, limit: float = REQUEST_LIMIT
    ) -> Json | None:
        """Send one JSON-RPC message. Returns a request's response; None for a notification or for our own response.

        Args:
            agent: starts this agent's process if the server id is new. Without it, a new server id is refused.
        """
        params = {"agent": agent} if agent else None
        return await self._calls.ask("POST", f"/v1/acp/{server_id}", params=params, json=message, limit=limit)

    async def request(
        self, server_id: str, method: str, params: Json, *, rpc_id: RpcId, agent: str | None = None
    ) -> Json:
        """Send a request and return its result.

        Raises:
            AgentRefused: the agent answered with an error.
            AgentUnavailable: the agent's process exited, or did not answer within 120 s.
        """
        message = {"jsonrpc": "2.0", "id": rpc_id, "method": method, "params": params}
        posting = asyncio.create_task(self.post(server_id, message, agent=agent))
        looking = asyncio.create_task(self._exit(server_id))
        try:
            await asyncio.wait({posting, looking}, return_when=asyncio.FIRST_COMPLETED)
            if not posting.done() and (ended := looking.result()) is not None:
                how = "by a signal" if ended.code is None else f"with code {ended.code}"
                raise AgentUnavailable(f"{method}: the agent's process exited {how} before it answered")
            answer = await posting or {}
        finally:
            posting.cancel()
            looking.cancel()
            await asyncio.gather(posting, looking, return_exceptions=True)
        if "error" in answer:
            raise AgentRefused(f"{method}: {_words(answer['error'])}")
        return answer.get("result") or {}

    async def initialize(self, server_id: str, agent: str) -> Initialized:
        """Start the agent's process under this server id and initialize it. A repeat reaches the same process."""
        result = await self.request(
            server_id,
            "initialize",
            {
                "protocolVersion": PROTOCOL_VERSION,
                "clientCapabilities": {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False},
                "clientInfo": {"name": "foundry", "title": "Foundry", "version": "1"},
            },
            rpc_id=INITIALIZE_ID,
            agent=agent,
        )
        offers = result.get("agentCapabilities") or {}
        return Initialized(
            can_load=bool(offers.get("loadSession")),
            can_resume=(offers.get("sessionCapabilities") or {}).get("resume") is not None,
            agent=(result.get("agentInfo") or {}).get("name", agent),
            raw=result,
        )

    async def new_session(self, server_id: str, cwd: str) -> Json:
        """Return the result of `session/new`: `sessionId`, and modes and config options if the agent has them."""
        return await self.request(server_id, "session/new", {"cwd": cwd, "mcpServers": []}, rpc_id=OPEN_ID)

    async def load_session(self, server_id: str, session_id: str, cwd: str) -> Json:
        """Open an earlier session. Its history arrives as updates on the stream before this returns."""
        params = {"sessionId": session_id, "cwd": cwd, "mcpServers": []}
        return await self.request(server_id, "session/load", params, rpc_id=OPEN_ID)

    async def resume_session(self, server_id: str, session_id: str, cwd: str) -> Json:
        """Open an earlier session without its history."""
        params = {"sessionId": session_id, "cwd": cwd, "mcpServers": []}
        return await self.request(server_id, "session/resume", params, rpc_id=OPEN_ID)

    async def prompt(self, server_id: str, session_id: str, rpc_id: RpcId, text: str) -> None:
        """Send the agent a prompt without waiting for the turn. The response with this id on the stream ends the turn.

        Returns when the request is written and was not refused within `PROMPT_GRACE`. The POST stays open in the
        background until the turn ends, 120 s pass, or this client is closed. None of these ends the turn.

        Raises:
            AgentRefused: the agent answered at once with an error. The same response is on the stream.
        """
        params = {"sessionId": session_id, "prompt": [{"type": "text", "text": text}]}
        message: Json = {"jsonrpc": "2.0", "id": rpc_id, "method": "session/prompt", "params": params}
        written = asyncio.Event()

        async def trace(event: str, _: Any) -> None:
            if event == "http11.send_request_body.complete":
                written.set()

        async def post() -> Json | None:
            return await self._calls.ask(
                "POST", f"/v1/acp/{server_id}", json=message, limit=REQUEST_LIMIT, extensions={"trace": trace}
            )

        posting = asyncio.create_task(post())
        self._posting[posting] = server_id
        posting.add_done_callback(self._posted)
        sent = asyncio.create_task(written.wait())
        await asyncio.wait({posting, sent}, return_when=asyncio.FIRST_COMPLETED)
        sent.cancel()
        await asyncio.wait({posting}, timeout=PROMPT_GRACE)
        if posting.done():
            answer = posting.result()
            if answer and "error" in answer:
                raise AgentRefused(f"session/prompt: {_words(answer['error'])}")

    async def cancel(self, server_id: str, session_id: str) -> None:
        """Ask the agent to end its turn. The prompt's response then says `cancelled`."""
        params = {"sessionId": session_id}
        await self.post(server_id, {"jsonrpc": "2.0", "method": "session/cancel", "params": params})

    async def answer_permission(self, server_id: str, rpc_id: RpcId, option: str | None) -> None:
        """Answer `session/request_permission`. None tells the agent that the turn is being cancelled.

        Args:
            rpc_id: the request's id exactly as received: agents number with integers, and 1 is not "1".
        """
        outcome = {"outcome": "cancelled"} if option is None else {"outcome": "selected", "optionId": option}
        await self.post(server_id, {"jsonrpc": "2.0", "id": rpc_id, "result": {"outcome": outcome}})

    async def delete(self, server_id: str) -> None:
        """End the agent's process for sure, and forget the server id and its events. Unknown ids are not an error.

        1. Note its process and the process's children. 2. Close its prompts' connections. 3. Send DELETE and close the
        connection, which closes its stdin. 4. Kill the remaining processes after `END_LIMIT`.

        Raises:
            SandboxRefused: one of the processes runs even after SIGKILL.
        """
        processes = self._processes
        created = next((one.created_ms for one in await self.servers() if one.server_id == server_id), None)
        family = await processes.family_started_at(created) if created is not None else {}
        for posting in [task for task, server in self._posting.items() if server == server_id]:
            posting.cancel()
        try:
            await self._calls.ask("DELETE", f"/v1/acp/{server_id}", limit=DELETE_LIMIT)
        except SandboxUnreachable as error:
            if not isinstance(error.__cause__, httpx.ReadTimeout):
                raise
        end = time.monotonic() + END_LIMIT
        while family := await processes.living(family) if family else {}:
            if time.monotonic() > end + KILL_LIMIT:
                raise SandboxRefused(f"the agent of {server_id} does not exit: processes {sorted(family)}")
            if time.monotonic() > end:
                await processes.kill_family(family)
            await asyncio.sleep(0.05)

    async def stream(self, server_id: str, after: int = 0) -> AsyncIterator[StreamItem]:
        """Yield the agent's messages after this event id: first the stored ones, then new ones as they arrive.

        The connection is always read into memory, even if the caller is slow, because sandbox-agent silently drops
        events for a stalled reader. Ends when the server closes the stream.

        Raises:
            AcpServerGone, SandboxTokenRefused, SandboxUnreachable: also later, when the connection breaks.
        """
        queue: asyncio.Queue[StreamItem | None] = asyncio.Queue()

        async def drain() -> None:
            try:
                headers = {"Last-Event-ID": str(after)}
                async with self._calls.stream(f"/v1/acp/{server_id}", headers=headers, quiet=STREAM_QUIET) as answer:
                    await self._calls.check(answer)
                    async for event in events(answer.aiter_lines()):
                        queue.put_nowait(StreamItem(event_id=int(event.id), message=json.loads(event.data)))
            except httpx.TransportError as error:
                raise self._calls.unreachable(error) from error
            finally:
                queue.put_nowait(None)

        draining = asyncio.create_task(drain())
        try:
            while (item := await queue.get()) is not None:
                yield item
            await draining
        finally:
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)

    async def replay(self, server_id: str, after: int = 0, *, quiet: float = 0.3) -> list[StreamItem]:
        """Return the server's stored events after this id. Reads until nothing arrives for `quiet` seconds."""
        found: list[StreamItem] = []
        stream = self.stream(server_id, after)
        try:
            while True:
                found.append(await asyncio.wait_for(anext(stream), quiet))
        except (StopAsyncIteration, TimeoutError):
            return found
        finally:
            await stream.aclose()  # type: ignore[attr-defined]

    async def _exit(self, server_id: str) -> AgentExit | None:
        """Wait for the event about the agent's exit and return it, or None if it cannot be found."""
        await asyncio.sleep(EXIT_LOOK)
        try:
            async for item in self.stream(server_id):
                if ended := agent_exit(item.message):
                    return ended
        except FoundryError:
            return None
        return None

    def _posted(self, task: asyncio.Task[Json | None]) -> None:
        """Handle the end of a prompt's POST. Its content is on the stream too, so this raises only defects."""
        self._posting.pop(task, None)
        if not task.cancelled():
            error = task.exception()
            if error is not None and not isinstance(error, FoundryError):
                raise error


def _words(error: Any) -> str:
    """Format a JSON-RPC error for people."""
    if not isinstance(error, dict):
        return str(error)
    data = error.get("data")
    details = data.get("details") if isinstance(data, dict) else data
    return f"{error.get('message', 'error')} ({error.get('code')}){f': {details}' if details else ''}"
