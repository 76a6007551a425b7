"""The agent's side of ACP: initialize, sessions that can be loaded again, prompts, cancel."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import acp
from acp.interfaces import Client
from acp.schema import (
    AgentCapabilities,
    Implementation,
    InitializeResponse,
    LoadSessionResponse,
    NewSessionResponse,
    PromptResponse,
)

from foundry.devkit.agent.memory import Memory
from foundry.devkit.agent.performer import Deaf, Failed, Performer
from foundry.devkit.agent.script import BadScript, script_of


@dataclass
class Session:
    id: str
    cwd: Path
    memory: Memory
    running: asyncio.Task[str] | None = None
    cancelled: bool = False  # by the client
    deaf: Deaf = field(default_factory=Deaf)


class ScriptedAgent:
    """The agent. One process may have many sessions; each runs one prompt at a time."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._client: Client

    def on_connect(self, conn: Client) -> None:
        self._client = conn

    async def initialize(self, protocol_version: int, **_: Any) -> InitializeResponse:
        return InitializeResponse(
            protocol_version=min(protocol_version, acp.PROTOCOL_VERSION),
            agent_capabilities=AgentCapabilities(load_session=True),
            agent_info=Implementation(name="scripted-agent", title="Scripted agent", version="1"),
        )

    async def new_session(self, cwd: str, **_: Any) -> NewSessionResponse:
        session = self._open(uuid.uuid4().hex, cwd)
        session.memory.write("cwd", cwd)
        return NewSessionResponse(session_id=session.id)

    async def load_session(self, cwd: str, session_id: str, **_: Any) -> LoadSessionResponse:
        """Load a session: replay its history, including the person's prompts."""
        memory = Memory(session_id)
        if not session_id.isalnum() or not memory.exists():
            raise acp.RequestError(-32002, f"unknown session {session_id}")
        self._open(session_id, cwd)
        for kind, value in memory.read():
            if kind == "prompt":
                value = acp.update_user_message_text(value).model_dump(mode="json", by_alias=True, exclude_none=True)
            elif kind != "update":
                continue
            note = acp.SessionNotification.model_validate({"sessionId": session_id, "update": value})
            await self._client.session_update(session_id=session_id, update=note.update)
        return LoadSessionResponse()

    async def prompt(self, session_id: str, prompt: list[Any], **_: Any) -> PromptResponse:
        """Perform the prompt's script. Returns the reason why it ended."""
        session = self._known(session_id)
        if session.running is not None:
            raise acp.RequestError.invalid_request({"details": "a prompt is already running in this session"})
        text = "\n".join(block.text for block in prompt if getattr(block, "type", "") == "text")
        session.memory.write("prompt", text)
        try:
            script = script_of(text, session.cwd)
        except BadScript as problem:
            raise acp.RequestError.invalid_params({"details": str(problem)}) from None
        performer = Performer(self._client, session.id, session.cwd, session.memory, session.deaf)
        session.cancelled = False
        session.running = asyncio.create_task(performer.perform(script))
        try:
            reason = await session.running
        except asyncio.CancelledError:
            if not session.cancelled:  # the connection is closing
                raise
            reason = "cancelled"
        except Failed as failure:
            session.memory.write("failed", str(failure))
            raise acp.RequestError(-32000, str(failure)) from None
        finally:
            session.running = None
        session.memory.write("stopped", reason)
        return PromptResponse.model_validate({"stopReason": reason})

    async def cancel(self, session_id: str, **_: Any) -> None:
        session = self._known(session_id)
        if session.running is not None and not session.deaf.deaf:
            session.cancelled = True
            session.running.cancel()

    def _open(self, session_id: str, cwd: str) -> Session:
        if not Path(cwd).is_dir():
            raise acp.RequestError.invalid_params({"details": f"{cwd} is not a directory"})
        session = Session(session_id, Path(cwd), Memory(session_id))
        self._sessions[session_id] = session
        return session

    def _known(self, session_id: str) -> Session:
        session = self._sessions.get(session_id)
        if session is None:
            raise acp.RequestError(-32002, f"session {session_id} is not open")
        return session
