"""R11: identity and tokens are in UserGitHubData alone, never in organization state; it stores and never calls."""

from __future__ import annotations

import re
from pathlib import Path

from foundry.actors.encryption import Sealer
from foundry.contracts import addresses
from foundry.contracts.messages import APP
from foundry.contracts.user_github_data import StoreIdentity
from foundry.runtime.store.tables import actors
from tests.actors.tree import ADA, tally_tree
from tests.rules.lookup import SRC, imports, metadata, owned_by, stored

ALLOWED = (
    "foundry.contracts",
    "foundry.runtime",
    "foundry.actors.user_github_data",
    "sqlalchemy",
    "collections.abc",
    "datetime",
    "__future__",
)


def test_it_imports_nothing_that_could_call() -> None:
    for path in (SRC / "actors" / "user_github_data").rglob("*.py"):
        assert {name for name in imports(path) if not name.startswith(ALLOWED)} == set()


def test_no_other_table_has_a_persons_token() -> None:
    found = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if re.search(r"access_token|refresh_token|github_token|oauth", column.name)
    }
    assert found == {"user_identities.access_token", "user_identities.refresh_token"}
    assert owned_by("UserGitHubData") == {"user_identities"}


async def test_after_a_sign_in_only_the_persons_own_state_holds_the_token(tmp_path: Path) -> None:
    sealed = Sealer([b"0123456789abcdef"]).seal("gho_secret")
    async with tally_tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        identity = StoreIdentity(parent=addresses.app_shell(), person=ADA, access_token=sealed)
        await stage.ask(addresses.user_github_data(ADA.id), identity, key="k", caller="edge")
        scope = await stage.read(lambda r: r.one(actors.select().where(actors.c.kind == "UserGitHubData")).scope)  # type: ignore[arg-type]
        assert scope == APP
    others = sorted(set(metadata.tables) - {"user_identities"})
    assert sealed in stored(tmp_path / "foundry.db", "user_identities")
    assert sealed not in stored(tmp_path / "foundry.db", *others)
