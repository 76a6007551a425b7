"""The jobs of the sandbox's workflows."""

from __future__ import annotations

from foundry.contracts.words import Word


class FetchLog(Word):
    sandbox: str
