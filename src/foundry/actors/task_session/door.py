"""The agents' door: ACP through a sandbox's sandbox-agent. Used by workflow steps and by the stream's worker only.

How a dead agent shows (sandbox-agent 0.4.2): when its process ends, the stream stays open and carries the notification
`_adapter/agent_exited`. A sandbox-agent that was restarted does not know the server id (AcpServerGone).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from secrets import token_hex

import httpx2 as httpx
import structlog

from foundry.actors.task_session.acp import array, mapping, string
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId
from foundry.contracts.messages import Json
from foundry.contracts.sandbox_provider import AcpServerGone, AgentRefused, AgentUnavailable, SandboxUnreachable
from foundry.contracts.session_stream import EACH_TRY, AgentSession, PromptDoubtful, Signs, StreamItem, made_of
from foundry.sandboxes.acp import OPEN_ID, Acp, Initialized
from foundry.sandboxes.activity import busy
from foundry.sandboxes.agent import SandboxAgent

RECORD_LIMIT = 20.0  # seconds
FOUND_LIMIT = 10.0  # seconds in which an agent that is open says once more what it can do
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)  # the request did not leave

log = structlog.get_logger("foundry.session")


class AcpDoor:
    """`foundry.contracts.doors.AgentDoor`.

    Args:
        reach: the long-lived client of a sandbox's sandbox-agent; a prompt's POST stays open in it.
        directory: where the sandbox has its repository; agents work there.
        started: like `reach`, but starts a sandbox that was stopped meanwhile. Agents are opened through it.
        stopped: True if a sandbox is certainly stopped. Then its agents are gone, however its stream ended.
    """

    def __init__(
        self,
        reach: Callable[[SandboxId], Awaitable[SandboxAgent]],
        directory: Callable[[SandboxId], Awaitable[str]],
        started: Callable[[SandboxId], Awaitable[SandboxAgent]] | None = None,
        stopped: Callable[[SandboxId], Awaitable[bool]] | None = None,
    ) -> None:
        self._reach = reach
        self._started = started or reach
        self._stopped = stopped
        self._directory = directory

    async def open(
        self, sandbox: SandboxId, server_id: str, agent: str, *, earlier: AgentSession | None, load: bool = False
    ) -> AgentSession:
        """1. Find what an earlier try opened; end what it left half open. 2. Start and greet the agent. 3. Load, resume
        or begin a session."""
        acp, cwd = (await self._started(sandbox)).acp, await self._directory(sandbox)
        for other in await self._made_of(acp, server_id):
            if found := await self._found(acp, other, agent, earlier, load):
                return found
            await self.close(sandbox, other)
        server = server_id + token_hex(4) if server_id.endswith(EACH_TRY) else server_id
        offers = await acp.initialize(server, agent)
        replayed = earlier is not None and _loads(offers, load)
        if earlier and replayed:
            await self._record_replay(sandbox, server)
            with suppress(AgentRefused):  # it no longer knows that session
                result = await acp.load_session(server, earlier.agent_session_id, cwd)
                return _session(server, earlier.agent_session_id, offers, result, replayed=True)
        if earlier and offers.can_resume:  # without a replay: the transcript has the history
            with suppress(AgentRefused):
                result = await acp.resume_session(server, earlier.agent_session_id, cwd)
                return _session(server, earlier.agent_session_id, offers, result, replayed=replayed)
        result = await acp.new_session(server, cwd)
        return _session(server, str(result["sessionId"]), offers, result, replayed=replayed)

    async def _record_replay(self, sandbox: SandboxId, server_id: str) -> None:
        """A replay may be longer than what sandbox-agent keeps. If it cannot be recorded, gaps stay."""
        try:
            async with asyncio.timeout(RECORD_LIMIT):
                await self.record(sandbox, server_id)
        except (FoundryError, TimeoutError) as error:
            log.warning("an agent's history is not recorded", server=server_id, reason=str(error))

    async def _found(
        self, acp: Acp, server: str, agent: str, earlier: AgentSession | None, load: bool
    ) -> AgentSession | None:
        """The session that a try opened. None: it was cut off before, or its agent does not answer."""
        try:
            said = [item.message for item in await acp.replay(server)]
            opened = next((one for one in reversed(said) if one.get("id") == OPEN_ID and "result" in one), None)
            if opened is None:
                return None
            async with asyncio.timeout(FOUND_LIMIT):
                offers = await acp.initialize(server, agent)
        except (AcpServerGone, AgentRefused, AgentUnavailable, TimeoutError):
            return None
        result: Json = opened["result"] or {}
        session = result.get("sessionId") or (earlier and earlier.agent_session_id)
        replayed = earlier is not None and _loads(offers, load)
        return _session(server, session, offers, result, replayed=replayed) if session else None

    async def _made_of(self, acp: Acp, chosen: str) -> list[str]:
        return [one.server_id for one in await acp.servers() if made_of(one.server_id, chosen)]

    async def prompt(self, sandbox: SandboxId, session: AgentSession, rpc_id: str, text: str) -> None:
        """Return once the request is written and was not refused at once.

        Raises:
            SandboxUnreachable: the request was not received, so it can be sent again.
            PromptDoubtful: the connection broke; the agent may have it.
        """
        acp = (await self._reach(sandbox)).acp
        try:
            await acp.prompt(session.server_id, session.agent_session_id, rpc_id, text)
        except SandboxUnreachable as error:
            if isinstance(error.__cause__, NEVER_SENT):
                raise
            raise PromptDoubtful(error.detail) from error
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task and task.cancelling():
                raise
            raise PromptDoubtful("the connection was closed, as the sandbox was started again") from None

    async def cancel(self, sandbox: SandboxId, session: AgentSession) -> None:
        await (await self._reach(sandbox)).acp.cancel(session.server_id, session.agent_session_id)

    async def answer(self, sandbox: SandboxId, session: AgentSession, rpc_id: str, option: str | None) -> None:
        """Answer a permission request; `rpc_id` is its JSON-RPC id as JSON."""
        acp = (await self._reach(sandbox)).acp
        await acp.answer_permission(session.server_id, json.loads(rpc_id), option)

    async def stream(self, sandbox: SandboxId, server_id: str, after: int) -> AsyncIterator[StreamItem]:
        agent = await self._reach(sandbox)
        try:
            async for item in agent.acp.stream(server_id, after):
                yield item
        except SandboxUnreachable as error:
            if self._stopped and await self._stopped(sandbox):
                raise AcpServerGone("The sandbox was stopped.") from error
            raise

    async def record(self, sandbox: SandboxId, server_id: str) -> None:
        await (await self._reach(sandbox)).recorder.start(server_id)

    async def recorded(self, sandbox: SandboxId, server_id: str, after: int) -> AsyncIterator[StreamItem]:
        agent = await self._reach(sandbox)
        async for item in agent.recorder.recorded(server_id, after):
            yield item

    async def signs(self, sandbox: SandboxId, server_id: str) -> Signs:
        agent = await self._reach(sandbox)
        alive = server_id in {server.server_id for server in await agent.acp.servers()}
        return Signs(alive=alive, busy=alive and await busy(agent.processes))

    async def servers(self, sandbox: SandboxId) -> list[str]:
        return [server.server_id for server in await (await self._reach(sandbox)).acp.servers()]

    async def end(self, sandbox: SandboxId, server_id: str) -> None:
        acp = (await self._reach(sandbox)).acp
        for one in await self._made_of(acp, server_id):
            await acp.delete(one)

    async def close(self, sandbox: SandboxId, server_id: str) -> None:
        await self.end(sandbox, server_id)
        await (await self._reach(sandbox)).recorder.forget(server_id)


def _loads(offers: Initialized, load: bool) -> bool:
    """Whether an earlier session is loaded: on request, or if the agent offers nothing else."""
    return offers.can_load and (load or not offers.can_resume)


def _session(server_id: str, session: str, offers: Initialized, result: Json, *, replayed: bool) -> AgentSession:
    """`replayed`: a load was asked for. Its response ends the replay, also that of a load that was refused half-way."""
    modes = mapping(result.get("modes"))
    return AgentSession(
        server_id=server_id,
        agent_session_id=session,
        can_load=offers.can_load,
        can_resume=offers.can_resume,
        modes=[string(mapping(mode).get("id")) for mode in array(modes.get("availableModes"))],
        mode=string(modes.get("currentModeId")),
        replay_ends=OPEN_ID if replayed else "",
    )
