"""UserGitHubData: who a person is on GitHub, and their tokens, encrypted."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foundry.actors.encryption import Sealer
from foundry.actors.user_github_data.views import people, person, sealed_tokens
from foundry.contracts import addresses
from foundry.contracts.errors import BadInput, NotFound
from foundry.contracts.ids import UserId
from foundry.contracts.people import Person
from foundry.contracts.user_github_data import StoreIdentity
from tests.actors.tree import ADA, tree

SEALER = Sealer([b"0123456789abcdef0123456789abcdef"])


def identity(who: Person, token: str, refresh: str | None = None) -> StoreIdentity:
    return StoreIdentity(
        parent=addresses.app_shell(),
        person=who,
        access_token=SEALER.seal(token),
        refresh_token=SEALER.seal(refresh) if refresh else None,
        expires_at=datetime(2126, 3, 1, tzinfo=UTC),
    )


async def test_what_was_sealed_is_what_is_found(store_url: str) -> None:
    async with tree(store_url) as stage:
        await stage.ask(addresses.user_github_data(ADA.id), identity(ADA, "gho_one", "ghr_one"))
        renamed = ADA.model_copy(update={"login": "ada-b", "email": "ada@example.test"})
        await stage.ask(addresses.user_github_data(ADA.id), identity(renamed, "gho_two"))
        assert await stage.read(person, ADA.id) == renamed
        tokens = await stage.read(sealed_tokens, ADA.id)
        assert SEALER.unseal(tokens.access_token) == "gho_two"
        assert tokens.refresh_token is None
        assert tokens.expires_at == datetime(2126, 3, 1, tzinfo=UTC)


async def test_everybody_has_a_state_of_their_own(store_url: str) -> None:
    async with tree(store_url) as stage:
        grace = Person(id=UserId("1002"), login="Grace")
        for who in (grace, ADA):
            await stage.ask(addresses.user_github_data(who.id), identity(who, f"gho_{who.login}"))
        assert [found.login for found in await stage.read(people)] == ["ada", "Grace"]
        with pytest.raises(BadInput):
            await stage.ask(addresses.user_github_data(ADA.id), identity(grace, "gho_x"))
        with pytest.raises(NotFound):
            await stage.read(person, UserId("1003"))


async def test_no_token_lies_open_in_the_database(tmp_path: Path) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        await stage.ask(addresses.user_github_data(ADA.id), identity(ADA, "gho_secret", "ghr_secret"), key="k")
    with sqlite3.connect(tmp_path / "foundry.db") as database:
        dump = "\n".join(database.iterdump())
    assert "ada" in dump
    assert "gho_secret" not in dump
    assert "ghr_secret" not in dump
