"""SessionStatusSync: which agent's stream is read."""

from __future__ import annotations

from foundry.contracts.ids import SandboxId, SessionId
from foundry.contracts.messages import Birth, Message


class Follow(Message, Birth):
    """TaskSession -> SessionStatusSync: follow this server's stream."""

    session: SessionId
    sandbox: SandboxId
    server_id: str


class Unfollow(Message):
    """TaskSession -> SessionStatusSync: there is nothing to follow any more."""
