"""The jobs of the sandbox's workflows."""

from __future__ import annotations

from foundry.contracts.messages import Model


class FetchLog(Model):
    sandbox: str
