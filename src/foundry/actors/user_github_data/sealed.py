"""All people's tokens, for sealing them again: `foundry.actors.secret_keys.SealedStore`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from foundry.actors.user_github_data.views import all_sealed_tokens
from foundry.contracts import addresses
from foundry.contracts.ids import UserId
from foundry.contracts.user_github_data import ResealTokens
from foundry.runtime.runtime import Runtime


class SealedPersonTokens:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def texts(self) -> Mapping[str, Sequence[str]]:
        return await self._runtime.read(all_sealed_tokens)

    async def reseal(self, entry: str, again: Callable[[str], str]) -> None:
        """A refresh that is under way goes on: it has the token already."""
        tokens = {token: again(token) for token in (await self.texts()).get(entry, ())}
        await self._runtime.ask(addresses.user_github_data(UserId(entry)), ResealTokens(tokens=tokens))
