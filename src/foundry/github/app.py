"""The GitHub App: its JWT, its installations and their tokens, its webhook deliveries.

A token for API calls stays in memory until shortly before it expires. A credential for git is created for one
repository and given out inside an `async with`. It is revoked at the end and never stored.
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

EARLY = 300.0  # seconds before expiry when a token for API calls is replaced

log = structlog.get_logger("foundry.github")


class GitHubApp:
    """The App's own API calls, and the callers that act as its installations."""

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
        """Return a new token, limited to one repository and to some permissions if they are given."""
        wish: dict[str, object] = {}
        if repository is not None:
            wish["repository_ids"] = [repository]
        if permissions is not None:
            wish["permissions"] = dict(permissions)
        return await self._app().post(f"/app/installations/{installation}/access_tokens", wish, InstallationToken)

    async def revoke(self, token: str) -> None:
        """Revoke an installation token now. An expired token is not an error."""
        try:
            await self.as_token(token).delete("/installation/token")
        except (GitHubNotFound, GitHubRefused):
            return

    @asynccontextmanager
    async def git_token(self, installation: int, repository: int, *, write: bool) -> AsyncIterator[str]:
        """Yield a token for git on this one repository, and revoke it at the end.

        If the revocation fails, git's work stays done: the failure is logged, and the token expires within an hour.
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
        """Return the App's webhook deliveries since that time, the newest first. GitHub keeps them for three days."""
        found: list[GitHubDelivery] = []
        async for delivery in self._app().pages("/app/hook/deliveries", GitHubDelivery):
            if delivery.delivered_at < since:
                break
            found.append(delivery)
        return found

    async def redeliver(self, delivery: int) -> None:
        """Ask GitHub to send a delivery again, under the same delivery id (`guid`)."""
        await self._app().post(f"/app/hook/deliveries/{delivery}/attempts", {})

    def budget(self, installation: int) -> GitHubBudget:
        """Return this installation's rate limit budget as GitHub last reported it. Sends no request."""
        return self.as_installation(installation).budget

    def _app(self) -> Caller:
        if not self._configured:
            raise GitHubNotConfigured("this server has no GitHub App configured")
        return self._as_app

    def as_installation(self, installation: int) -> Caller:
        """Return a caller that acts as an installation."""
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

    def as_token(self, token: str, key: str = "") -> Caller:
        """Return a caller that uses a given token: a person's, or one to revoke.

        Args:
            key: whose responses it may reuse. Empty: nothing is cached.
        """

        async def given() -> str:
            return token

        answers = self._answers if key else None
        return Caller(self._http, self._base, key=key, answers=answers, token=given)

    async def _api_token(self, installation: int) -> str:
        async with self._minting[installation]:  # concurrent callers share the one new token
            kept = self._tokens.get(installation)
            if kept is None or kept.expires_at.timestamp() - time.time() < EARLY:
                kept = self._tokens[installation] = await self.installation_token(installation)
            return kept.token
