"""SessionStatusSync: the lease and the connection behind one live session's stream."""

from __future__ import annotations

from foundry.actors.session_status_sync.tables import read_streams
from foundry.contracts.messages import millis
from foundry.contracts.session_status_sync import ReadStream, StopReading
from foundry.runtime.actor import Actor, creates, receives
from foundry.runtime.turn import Turn


class SessionStatusSync(Actor):
    """Owns which stream is read; its worker reads it. Transcript and cursor are TaskSession's."""

    @creates(ReadStream)
    def read_stream(self, turn: Turn, message: ReadStream) -> None:
        """The newest request counts."""
        turn.put(
            read_streams,
            sandbox=message.sandbox,
            server=message.server_id,
            reading=True,
            since=millis(turn.now),
        )

    @receives(StopReading)
    def stop_reading(self, turn: Turn, message: StopReading) -> None:
        turn.update(read_streams, reading=False)
