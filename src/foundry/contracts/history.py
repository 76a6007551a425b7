"""History: what happened in a repository."""

from __future__ import annotations

from datetime import datetime

from foundry.contracts.messages import Birth, Message, Model
from foundry.contracts.people import Person


class HistoryEntry(Message, Birth):
    """To History: something happened in the repository."""

    what: str  # a stable word, e.g. `task_created`, `pull_request_merged`
    text: str
    person: Person | None = None
    task: str | None = None
    at: datetime


class HistoryView(Model):
    number: int
    what: str
    text: str
    login: str | None = None
    task: str | None = None
    at: datetime
