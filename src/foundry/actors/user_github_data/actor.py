"""UserGitHubData: one person's GitHub identity and tokens."""

from __future__ import annotations

from foundry.actors.user_github_data.tables import user_identities
from foundry.contracts.errors import BadInput
from foundry.contracts.messages import millis
from foundry.contracts.user_github_data import StoreIdentity
from foundry.runtime.actor import Actor, creates
from foundry.runtime.turn import Turn


class UserGitHubData(Actor):
    """Owns who a person is on GitHub and their tokens, encrypted before they came here.

    Never calls GitHub, never sees an open token, is never part of an organization's state.
    """

    @creates(StoreIdentity)
    def store_identity(self, turn: Turn, command: StoreIdentity) -> None:
        """At every sign-in: what GitHub says of the person now, and the new tokens."""
        person = command.person
        if person.id != turn.key:
            raise BadInput(f"this is the state of {turn.key}, not of {person.id}", field="person.id")
        turn.delete(user_identities)
        turn.insert(
            user_identities,
            login=person.login,
            name=person.name,
            email=person.email,
            avatar_url=person.avatar_url,
            access_token=command.access_token,
            refresh_token=command.refresh_token,
            expires_at=None if command.expires_at is None else millis(command.expires_at),
            changed_at=millis(turn.now),
        )
