"""The jobs of GitHubState's workflows."""

from __future__ import annotations

from foundry.contracts.ids import OrganizationId
from foundry.contracts.words import Word


class ListInstallations(Word):
    pass


class ReadOrganization(Word):
    organization: OrganizationId
    login: str
    installation: int
    personal: bool
