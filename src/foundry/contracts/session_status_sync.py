"""SessionStatusSync: which agent's stream is read."""

from __future__ import annotations

from foundry.contracts.ids import SandboxId, SessionId
from foundry.contracts.messages import Birth, Message


class ReadStream(Message, Birth):
    """TaskSession -> SessionStatusSync: read this server's stream."""

    session: SessionId
    sandbox: SandboxId
    server_id: str


class StopReading(Message):
    """TaskSession -> SessionStatusSync: there is no stream to read any more."""
