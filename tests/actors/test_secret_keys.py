"""A rotation of the server's key: nothing is unreadable in between, and sandboxes keep their tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundry.actors.encryption import SealedUnder, Sealer, WrongKey, keys_in, load_or_create_key
from foundry.actors.sandbox_instance.door import Sandboxes
from foundry.actors.secret_keys import SecretKeys
from foundry.actors.user_github_data.sealed import SealedPersonTokens
from foundry.actors.user_github_data.views import sealed_tokens
from foundry.app import sandbox_secret
from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SandboxId, UserId
from foundry.contracts.people import Person
from foundry.contracts.user_github_data import SealedTokens, StoreIdentity
from foundry.runtime.store.server_secrets import ServerSecrets
from tests.actors.tree import tree
from tests.world.world import World

BOX = SandboxId("sbx_1")
PEOPLE = [Person(id=UserId(f"10{number:02}"), login=f"person-{number}") for number in range(7)]


class Stage:
    """A server's keys in a file, some people's tokens, and the secret that sandboxes' tokens are derived from."""

    def __init__(self, world: World, url: str, directory: Path) -> None:
        self.world, self.url, self.path = world, url, directory / "secret.key"
        self.material = load_or_create_key(self.path)
        self.sealer = Sealer(keys_in(self.material, b"\n"))
        self.others = False
        self.secret_keys = self.keys(self.path)

    def keys(self, path: Path | None) -> SecretKeys:
        async def alone() -> bool:
            return not self.others

        stores = (SealedPersonTokens(self.world.runtime), ServerSecrets(self.world.runtime))
        return SecretKeys(self.sealer, stores, self.material, path, alone)

    async def sign_in(self, person: Person) -> None:
        identity = StoreIdentity(
            parent=addresses.app_shell(),
            person=person,
            access_token=self.sealer.seal(f"ghu_{person.login}"),
            refresh_token=self.sealer.seal(f"ghr_{person.login}"),
        )
        await self.world.ask(addresses.user_github_data(person.id), identity)

    def sandbox_token(self) -> str:
        """As a server that starts now derives it."""
        material = load_or_create_key(self.path)
        secret = sandbox_secret(self.url, Sealer(keys_in(material, b"\n")), material)
        nothing: object = None
        return Sandboxes(nothing, secret, nothing, nothing).token(BOX)  # type: ignore[arg-type]

    async def stored(self, person: Person) -> SealedTokens:
        return await self.world.read(sealed_tokens, person.id)

    async def readable(self) -> bool:
        """Whether everybody's tokens open."""
        for person in PEOPLE:
            kept = await self.stored(person)
            opened = [self.sealer.unseal(kept.access_token), self.sealer.unseal(kept.refresh_token or "")]
            assert opened == [f"ghu_{person.login}", f"ghr_{person.login}"]
        return True


async def test_a_rotation(store_url: str, tmp_path: Path) -> None:
    async with tree(store_url) as world:
        stage = Stage(world, store_url, tmp_path)
        token = stage.sandbox_token()
        assert token == Sandboxes(None, stage.material, None, None).token(BOX), "that of 0.3"  # type: ignore[arg-type]
        for person in PEOPLE:
            await stage.sign_in(person)
        keys, old = stage.secret_keys, Sealer([stage.material])
        assert (await keys.view()).model_dump() == {
            "source": "file", "keys": 1, "newest": 8, "older": 0, "unreadable": 0
        }  # fmt: skip

        added = await keys.add()
        assert (added.keys, added.newest, added.older) == (2, 0, 8)
        assert await stage.readable()
        assert stage.sandbox_token() == token
        with pytest.raises(WrongState, match="8 secrets"):
            await keys.drop()

        some = await keys.reseal(limit=3)
        assert (some.newest, some.older) == (3, 5)
        assert await stage.readable()
        done = await keys.reseal()
        assert (done.newest, done.older) == (8, 0)
        assert await stage.readable()
        assert old.under((await stage.stored(PEOPLE[0])).access_token) is SealedUnder.UNKNOWN

        dropped = await keys.drop()
        assert (dropped.keys, dropped.newest, dropped.older) == (1, 8, 0)
        assert await stage.readable()
        assert stage.sandbox_token() == token
        with pytest.raises(WrongKey):
            stage.sealer.unseal(old.seal("x"))
        assert stage.material not in stage.path.read_bytes()


async def test_what_no_key_opens_is_left_alone_and_said(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/foundry.db"
    async with tree(url) as world:
        stage = Stage(world, url, tmp_path)
        await stage.sign_in(PEOPLE[0])
        mine, stage.sealer = stage.sealer, Sealer([b"the key of some other server"])
        await stage.sign_in(PEOPLE[1])
        stage.sealer = mine
        before = await stage.stored(PEOPLE[1])
        await stage.secret_keys.add()
        done = await stage.secret_keys.reseal()
        assert (done.newest, done.older, done.unreadable) == (1, 0, 1)
        assert await stage.stored(PEOPLE[1]) == before
        assert (await stage.secret_keys.drop()).keys == 1


async def test_keys_that_are_not_this_servers_alone_are_left_to_the_administrator(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/foundry.db"
    async with tree(url) as world:
        stage = Stage(world, url, tmp_path)
        assert await world.runtime.alone()
        with pytest.raises(WrongState, match="FOUNDRY_SECRET_KEY"):
            await stage.keys(None).add()
        stage.others = True
        with pytest.raises(WrongState, match="other servers"):
            await stage.secret_keys.add()
        assert load_or_create_key(stage.path) == stage.material


async def test_a_secret_of_sandboxes_that_cannot_be_read_costs_their_restart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/foundry.db"
    async with tree(url):
        one, two = b"the key of a first server", b"the key of a second server"
        assert sandbox_secret(url, Sealer([one]), one) == one
        assert sandbox_secret(url, Sealer([two, one]), two) == one
        assert sandbox_secret(url, Sealer([two]), two) == two
