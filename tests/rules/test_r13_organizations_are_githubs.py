"""R13: organizations are GitHub organizations, or a person's own account. Foundry invents no grouping."""

from __future__ import annotations

from pathlib import Path

from foundry.actors.organization.views import organizations
from foundry.contracts import addresses
from foundry.contracts.github_state import InstallationSummary, RecordInstallations, SyncInstallations
from foundry.contracts.ids import OrganizationId
from foundry.contracts.organization import OrganizationSeen
from foundry.runtime.actor import Registry
from tests.actors.tree import tree
from tests.rules.lookup import house, naming


async def test_there_is_one_for_each_account_that_installed_the_app(tmp_path: Path) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        await stage.ask(addresses.github_app(), SyncInstallations())
        listed = [
            InstallationSummary(id=1, organization=OrganizationId("2001"), login="lumen-works"),
            InstallationSummary(id=2, organization=OrganizationId("1001"), login="ada", personal=True),
        ]
        await stage.ask(addresses.github_app(), RecordInstallations(installations=listed))
        await stage.quiet()
        assert [(o.id, o.login) for o in await stage.read(organizations)] == [("1001", "ada"), ("2001", "lumen-works")]


def test_only_githubs_word_creates_one() -> None:
    kind = Registry(house().actors).kinds["Organization"]
    assert [word for word, handler in kind.handlers.items() if handler.creates] == [OrganizationSeen]
    announcers = {path for path in naming("OrganizationSeen") if not path.startswith("actors/organization/")}
    assert announcers == {"actors/github_state/organization.py"}
