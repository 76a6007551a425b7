"""SessionStatusSync: the lease and the connection behind one live session's stream."""

from __future__ import annotations

from foundry.actors.session_status_sync.tables import followed_streams
from foundry.contracts.messages import millis
from foundry.contracts.session_status_sync import Follow, Unfollow
from foundry.runtime.actor import Actor, creates, receives
from foundry.runtime.turn import Turn


class SessionStatusSync(Actor):
    """Owns which stream is read; its worker reads it. Transcript and cursor are TaskSession's."""

    @creates(Follow)
    def follow(self, turn: Turn, message: Follow) -> None:
        """The newest request counts."""
        values = {
            "sandbox": message.sandbox,
            "server": message.server_id,
            "following": True,
            "since": millis(turn.now),
        }
        if turn.find(followed_streams) is None:
            turn.insert(followed_streams, **values)
        else:
            turn.update(followed_streams, **values)

    @receives(Unfollow)
    def unfollow(self, turn: Turn, message: Unfollow) -> None:
        turn.update(followed_streams, following=False)
