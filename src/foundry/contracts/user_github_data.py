"""UserGitHubData: one person's GitHub identity and sealed tokens."""

from __future__ import annotations

from datetime import datetime

from foundry.contracts.messages import Birth, Command, Model
from foundry.contracts.people import Person


class StoreIdentity(Command[None], Birth):
    """To UserGitHubData: who signed in, and the tokens, already encrypted."""

    person: Person
    access_token: str  # encrypted
    refresh_token: str | None = None  # encrypted
    expires_at: datetime | None = None


class SealedTokens(Model):
    """A person's tokens as they are stored: encrypted. Only the door that uses them opens them."""

    access_token: str
    refresh_token: str | None = None
    expires_at: datetime | None = None
