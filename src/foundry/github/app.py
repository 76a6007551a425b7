"""The GitHub App: its JWT, its installations and their tokens, its webhook deliveries.

A token for API calls is kept until shortly before its end, in memory only. A credential for git is made for one
repository, handed out inside an `async with`, revoked at its end, and never kept.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

import httpx2 as httpx
import structlog

from foundry.contracts.errors import FoundryError
from foundry.contracts.github_payloads import GitHubBudget, GitHubDelivery, GitHubInstallation, InstallationToken
from foundry.github.client_base import Caller
from foundry.github.errors import GitHubNotConfigured, GitHubNotFound, GitHubRefused
from foundry.github.etag_cache import Answers, KeptInMemory

EARLY = 300.0  # seconds before its end at which a token for API calls is replaced

log = structlog.get_logger("foundry.github")


class GitHubApp:
    """What the App may do as itself, and the callers that act as its installations."""

    def __init__(
        self, api_url: str, http: httpx.AsyncClient, *, app_id: str, private_key: str, answers: Answers | None = None
    ) -> None:
        self._http = http
        self._configured = bool(app_id and private_key)
        self._base = api_url.rstrip("/")
        self._answers = answers or KeptInMemory()
        self._as_app = Caller(
            http, self._base, key="app", answers=self._answers, app_id=app_id, private_key=private_key
        )
        self._installed: dict[int, Caller] = {}
        self._tokens: dict[int, InstallationToken] = {}
        self._minting: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def installations(self) -> list[GitHubInstallation]:
        return await self._app().all("/app/installations", GitHubInstallation)

    async def installation_token(
        self, installation: int, *, repository: int | None = None, permissions: Mapping[str, str] | None = None
    ) -> InstallationToken:
        """A fresh token, limited to one repository and some permissions where given."""
        wish: dict[str, object] = {}
        if repository is not None:
            wish["repository_ids"] = [repository]
        if permissions is not None:
            wish["permissions"] = dict(permissions)
        return await self._app().post(f"/app/installations/{installation}/access_tokens", wish, InstallationToken)

    async def revoke(self, token: str) -> None:
        """End an installation token now; one that has ended already is no error."""
        try:
            await self.as_token(token).delete("/installation/token")
        except (GitHubNotFound, GitHubRefused):
            return

    @asynccontextmanager
    async def git_token(self, installation: int, repository: int, *, write: bool) -> AsyncIterator[str]:
        """A token for git on this one repository, revoked at the end.

        That GitHub cannot be told to revoke it does not undo what git has done: it is logged, and the token ends by
        itself within the hour.
        """
        permissions = {"contents": "write" if write else "read", "metadata": "read"}
        made = await self.installation_token(installation, repository=repository, permissions=permissions)
        try:
            yield made.token
        finally:
            try:
                await self.revoke(made.token)
            except FoundryError as error:
                audit = log.bind(repository_id=repository, ends=made.expires_at.isoformat())
                audit.warning("git credential not revoked", reason=error.detail)

    async def deliveries(self, *, since: datetime) -> list[GitHubDelivery]:
        """The App's webhook deliveries from that moment on, the newest first. GitHub keeps those of three days."""
        found: list[GitHubDelivery] = []
        async for delivery in self._app().pages("/app/hook/deliveries", GitHubDelivery):
            if delivery.delivered_at < since:
                break
            found.append(delivery)
        return found

    async def redeliver(self, delivery: int) -> None:
        """Have GitHub send a delivery again, under the same delivery id (`guid`)."""
        await self._app().post(f"/app/hook/deliveries/{delivery}/attempts", {})

    def budget(self, installation: int) -> GitHubBudget:
        """What GitHub said last of this installation's hour; asks nothing."""
        return self.as_installation(installation).budget

    def _app(self) -> Caller:
        if not self._configured:
            raise GitHubNotConfigured("no GitHub App is set up here")
        return self._as_app

    def as_installation(self, installation: int) -> Caller:
        """The API as an installation."""
        caller = self._installed.get(installation)
        if caller is None:

            async def token() -> str:
                return await self._api_token(installation)

            def forget(token: str) -> None:
                kept = self._tokens.get(installation)
                if kept and kept.token == token:
                    del self._tokens[installation]

            key = f"installation {installation}"
            caller = Caller(self._http, self._base, key=key, answers=self._answers, token=token, forget=forget)
            self._installed[installation] = caller
        return caller

    def as_token(self, token: str) -> Caller:
        """The API with a token that is at hand: a person's, or one to be revoked. Nothing is kept."""

        async def given() -> str:
            return token

        return Caller(self._http, self._base, key="", token=given)

    async def _api_token(self, installation: int) -> str:
        async with self._minting[installation]:  # many who wait get the one that is made
            kept = self._tokens.get(installation)
            if kept is None or kept.expires_at.timestamp() - time.time() < EARLY:
                kept = self._tokens[installation] = await self.installation_token(installation)
            return kept.token
