"""GitHub's REST API as Foundry uses it, on gidgethub: the App, its installations, and what they may see.

Every call has a deadline; lists are followed to their last page; a GET is asked conditionally (ETag), which costs no
budget when nothing changed; GitHub's errors become ours, which say what to do.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar, cast
from urllib.parse import quote, urlencode

import gidgethub
import httpx2 as httpx
from gidgethub.httpx import GitHubAPI

from foundry.contracts.github import (
    GitHubAccount,
    GitHubBranch,
    GitHubInstallation,
    GitHubModel,
    GitHubPullRequest,
    GitHubRepository,
    InstallationToken,
)
from foundry.github.errors import GitHubNotFound, GitHubRateLimited, GitHubRefused, GitHubUnavailable

M = TypeVar("M", bound=GitHubModel)
T = TypeVar("T")

TIMEOUT = 20.0  # seconds for one request
CACHED = 2_000  # answers kept for conditional requests
EARLY = 300.0  # seconds before its end at which an API token is replaced


class _Cache(OrderedDict[str, Any]):
    """The answers that GETs are asked again about, the least used thrown out."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > CACHED:
            self.popitem(last=False)


class GitHub:
    """GitHub for one App."""

    def __init__(self, api_url: str, http: httpx.AsyncClient, *, app_id: str, private_key: str) -> None:
        self._http = http
        self._base = api_url.rstrip("/")
        self._as_app = GitHubAPI(http, "foundry", app_id=app_id, private_key=private_key, base_url=self._base)
        self._tokens: dict[int, InstallationToken] = {}
        self._caches: dict[int, _Cache] = {}

    # the App

    async def installations(self) -> list[GitHubInstallation]:
        return await self._list(self._app(), "/app/installations", GitHubInstallation)

    async def installation(self, installation: int) -> GitHubInstallation:
        return await self._get(self._app(), f"/app/installations/{installation}", GitHubInstallation)

    async def installation_token(
        self, installation: int, *, repository: int | None = None, permissions: dict[str, str] | None = None
    ) -> InstallationToken:
        """A fresh token, limited to one repository and some permissions where given."""
        wish: dict[str, object] = {}
        if repository is not None:
            wish["repository_ids"] = [repository]
        if permissions is not None:
            wish["permissions"] = permissions
        call = self._app().post(f"/app/installations/{installation}/access_tokens", data=wish)
        return InstallationToken.model_validate(await _answered(call))

    async def revoke(self, token: str) -> None:
        """End an installation token now; one that has ended already is no error."""
        try:
            await _answered(self._with(token).delete("/installation/token"))
        except (GitHubNotFound, GitHubRefused):
            return

    @asynccontextmanager
    async def git_token(self, installation: int, repository: int, *, write: bool) -> AsyncIterator[str]:
        """A token for git on this one repository, revoked at the end."""
        contents = "write" if write else "read"
        permissions = {"contents": contents, "metadata": "read"}
        made = await self.installation_token(installation, repository=repository, permissions=permissions)
        try:
            yield made.token
        finally:
            await self.revoke(made.token)

    # what an installation may see

    async def repositories(self, installation: int) -> list[GitHubRepository]:
        api = await self._installed(installation)
        return await self._list(api, "/installation/repositories", GitHubRepository, key="repositories")

    async def repository(self, installation: int, repository: int) -> GitHubRepository:
        return await self._get(await self._installed(installation), f"/repositories/{repository}", GitHubRepository)

    async def members(self, installation: int, organization: str) -> list[GitHubAccount]:
        return await self._list(
            await self._installed(installation), f"/orgs/{quote(organization)}/members", GitHubAccount
        )

    async def permission(self, installation: int, full_name: str, login: str) -> str:
        """admin, maintain, write, triage, read or none."""
        api = await self._installed(installation)
        url = f"/repos/{full_name}/collaborators/{quote(login)}/permission"
        try:
            body = cast("dict[str, str]", await _answered(api.getitem(url)))
        except GitHubNotFound:
            return "none"
        role = body.get("role_name", "")
        return role if role in ("admin", "maintain", "write", "triage", "read") else body.get("permission", "none")

    async def branches(self, installation: int, full_name: str) -> list[GitHubBranch]:
        return await self._list(await self._installed(installation), f"/repos/{full_name}/branches", GitHubBranch)

    async def pull_requests(
        self, installation: int, full_name: str, *, state: str = "open", head: str | None = None
    ) -> list[GitHubPullRequest]:
        """Pull requests, those of one head (`owner:branch`) if given."""
        query = {"state": state} | ({"head": head} if head else {})
        url = f"/repos/{full_name}/pulls?{urlencode(query)}"
        return await self._list(await self._installed(installation), url, GitHubPullRequest)

    async def pull_request(self, installation: int, full_name: str, number: int) -> GitHubPullRequest:
        api = await self._installed(installation)
        return await self._get(api, f"/repos/{full_name}/pulls/{number}", GitHubPullRequest)

    async def create_pull_request(
        self, installation: int, full_name: str, *, head: str, base: str, title: str, body: str, draft: bool
    ) -> GitHubPullRequest:
        api = await self._installed(installation)
        wish = {"head": head, "base": base, "title": title, "body": body, "draft": draft}
        return GitHubPullRequest.model_validate(await _answered(api.post(f"/repos/{full_name}/pulls", data=wish)))

    # a person, by their own token

    async def user(self, token: str) -> GitHubAccount:
        return GitHubAccount.model_validate(await _answered(self._with(token).getitem("/user")))

    # plumbing

    def _with(self, token: str) -> GitHubAPI:
        return GitHubAPI(self._http, "foundry", oauth_token=token, base_url=self._base)

    def _app(self) -> GitHubAPI:
        return self._as_app

    async def _installed(self, installation: int) -> GitHubAPI:
        """The API as an installation; its token is kept for a while, and in memory only."""
        token = self._tokens.get(installation)
        if token is None or token.expires_at.timestamp() - time.time() < EARLY:
            token = self._tokens[installation] = await self.installation_token(installation)
        cache = self._caches.setdefault(installation, _Cache())
        return GitHubAPI(self._http, "foundry", oauth_token=token.token, cache=cache, base_url=self._base)

    async def _get(self, api: GitHubAPI, url: str, model: type[M]) -> M:
        return model.model_validate(await _answered(api.getitem(url)))

    async def _list(self, api: GitHubAPI, url: str, model: type[M], key: str = "items") -> list[M]:
        async def everything() -> Sequence[Any]:
            page = f"{url}{'&' if '?' in url else '?'}per_page=100"
            return [item async for item in api.getiter(page, iterable_key=key)]

        return [model.model_validate(item) for item in await _answered(everything())]


async def _answered(call: Awaitable[T]) -> T:
    """GitHub's errors as ours."""
    try:
        return await call
    except gidgethub.RateLimitExceeded as error:
        limit = error.rate_limit
        reset = limit.reset_datetime if limit else datetime.now(UTC)
        raise GitHubRateLimited(f"GitHub's rate limit is used up until {reset:%H:%M:%S} UTC", reset_at=reset) from error
    except gidgethub.GitHubBroken as error:
        raise GitHubUnavailable(f"GitHub answered {int(error.status_code)}") from error
    except gidgethub.HTTPException as error:
        status, words = int(error.status_code), str(error)
        if status == 404:
            raise GitHubNotFound(f"GitHub answered 404: {words}") from error
        if status in (403, 429) and ("rate limit" in words.lower() or "abuse" in words.lower()):
            raise GitHubRateLimited(f"GitHub answered {status}: {words}") from error
        raise GitHubRefused(f"GitHub answered {status}: {words}") from error
    except httpx.HTTPError as error:
        raise GitHubUnavailable(f"GitHub did not answer: {type(error).__name__} {error}".rstrip()) from error


def http_client() -> httpx.AsyncClient:
    """The one HTTP client of the process for GitHub."""
    return httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=True, limits=httpx.Limits(max_connections=20))
