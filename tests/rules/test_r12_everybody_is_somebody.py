"""R12: every signed-in person has their own GitHub account, their own app session and their own UserGitHubData."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from foundry.actors.user_github_data.views import people, sealed_tokens
from foundry.contracts import addresses
from foundry.contracts.app_shell import SignIn, SignOut
from foundry.contracts.ids import UserId
from foundry.contracts.people import Person
from foundry.contracts.user_github_data import StoreIdentity
from tests.actors.tree import ADA, person_of_token, tree

GRACE = Person(id=UserId("1002"), login="grace")


async def test_two_people_share_nothing(tmp_path: Path) -> None:
    async with tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        tokens = {who.id: sha256(who.login.encode()).hexdigest() for who in (ADA, GRACE)}
        for who in (ADA, GRACE):
            identity = StoreIdentity(parent=addresses.app_shell(), person=who, access_token=f"sealed for {who.login}")
            await stage.ask(addresses.user_github_data(who.id), identity)
            sign_in = SignIn(token_hash=tokens[who.id], user=who.id, login=who.login)
            await stage.ask(addresses.app_shell(), sign_in)
        for who in (ADA, GRACE):
            assert await stage.read(person_of_token, tokens[who.id]) == who.id
            assert (await stage.read(sealed_tokens, who.id)).access_token == f"sealed for {who.login}"
        await stage.ask(addresses.app_shell(), SignOut(token_hash=tokens[ADA.id]))
        assert await stage.read(person_of_token, tokens[ADA.id]) is None
        assert await stage.read(person_of_token, tokens[GRACE.id]) == GRACE.id
        assert {who.id for who in await stage.read(people)} == {ADA.id, GRACE.id}


def test_a_persons_state_has_githubs_id_as_its_key() -> None:
    assert addresses.user_github_data(ADA.id).key == ADA.id
