"""The jobs of GitHubState's workflows."""

from __future__ import annotations

from foundry.contracts.ids import OrganizationId
from foundry.contracts.messages import Model


class ListInstallations(Model):
    pass


class ReadOrganization(Model):
    organization: OrganizationId
    login: str
    installation: int
    personal: bool
