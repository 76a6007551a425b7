"""One caller of GitHub's REST API, on gidgethub: the App, one of its installations, or a person.

Every call has a deadline. Lists are read to their last page. GET requests are conditional. The client remembers the
budget that GitHub reports, and sends nothing while GitHub requires it to wait. It replaces a rejected token once.
GitHub's errors become ours, each with a remedy.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, TypeVar, overload

import gidgethub
import httpx2 as httpx
from gidgethub import sansio
from gidgethub.httpx import GitHubAPI
from pydantic import ValidationError

from foundry.contracts.github_access import SingleSignOnNeeded
from foundry.contracts.github_payloads import GitHubBudget, GitHubModel
from foundry.github.errors import GitHubNotFound, GitHubRateLimited, GitHubRefused, GitHubUnavailable
from foundry.github.etag_cache import Answers, CachedResponse

M = TypeVar("M", bound=GitHubModel)
T = TypeVar("T")

TIMEOUT = 20.0  # seconds for one request
CONNECTIONS = 20  # maximum, for all callers together
JSON = "application/vnd.github+json"
VERSION = "2022-11-28"  # of the REST API
SECONDARY = 60.0  # seconds to wait after a secondary limit without a given time, as GitHub's documentation asks

Token = Callable[[], Awaitable[str]]


def http_client() -> httpx.AsyncClient:
    """Create the process's only HTTP client for GitHub."""
    return httpx.AsyncClient(
        timeout=TIMEOUT,
        follow_redirects=True,  # GitHub redirects a renamed repository or branch to its new name
        limits=httpx.Limits(max_connections=CONNECTIONS),
        headers={"X-GitHub-Api-Version": VERSION},
    )


class Page(NamedTuple):
    """One response, as GitHub sent it."""

    data: Any
    etag: str
    more: bool  # there is a next page
    single_sign_on: str  # the X-GitHub-SSO header


class Caller:
    """Calls with one credential.

    Args:
        key: identifies this caller in the response cache.
        token: returns the token to send. None: the App's own JWT, from `app_id` and `private_key`.
        forget: called when GitHub rejects a token; the call is then repeated once with a new token.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        base_url: str,
        *,
        key: str,
        answers: Answers | None = None,
        token: Token | None = None,
        forget: Callable[[str], None] | None = None,
        app_id: str | None = None,
        private_key: str | None = None,
    ) -> None:
        self._token, self._forget = token, forget
        self._api = _Api(
            http, "foundry", base_url=base_url, app_id=app_id, private_key=private_key, key=key, answers=answers
        )

    @property
    def budget(self) -> GitHubBudget:
        """This caller's rate limit budget, as GitHub last reported it."""
        return self._api.budget

    async def get(self, url: str, model: type[M]) -> M:
        return await self._call(lambda token: self._api.getitem(url, oauth_token=token), model.model_validate)

    async def page(self, url: str, etag: str = "") -> Page | None:
        """Return one page of a list, or None if it is still the one with this ETag. The response is not cached."""

        async def call(token: str | None) -> Page | None:
            try:
                return await self._api.one_page(url, etag, token)
            except gidgethub.HTTPException as error:
                if etag and error.status_code == 304:
                    return None
                raise

        return await self._call(call, lambda found: found)

    async def all(self, url: str, model: type[M], *, key: str = "items") -> list[M]:
        """Return the items of every page. `key`: the field with the list, if the response is an object."""
        return [item async for item in self.pages(url, model, key=key)]

    async def pages(self, url: str, model: type[M], *, key: str = "items") -> AsyncIterator[M]:
        """Yield item by item. A page is fetched when it is needed."""
        after: str | None = f"{url}{'&' if '?' in url else '?'}per_page=100"
        while after:
            place = after

            async def page(token: str | None, place: str = place) -> tuple[Sequence[Any], str | None]:
                return await self._api.page(place, key, token)

            def read(found: tuple[Sequence[Any], str | None]) -> tuple[list[M], str | None]:
                return [model.model_validate(item) for item in found[0]], found[1]

            items, after = await self._call(page, read)
            for item in items:
                yield item

    @overload
    async def post(self, url: str, data: Mapping[str, object], model: type[M]) -> M: ...
    @overload
    async def post(self, url: str, data: Mapping[str, object]) -> None: ...
    async def post(self, url: str, data: Mapping[str, object], model: type[M] | None = None) -> M | None:
        """Send one request. Without a model, any response body is accepted."""

        def read(found: object) -> M | None:
            return model.model_validate(found) if model else None

        return await self._call(lambda token: self._api.post(url, data=data, oauth_token=token), read)

    async def delete(self, url: str) -> None:
        await self._call(lambda token: self._api.delete(url, oauth_token=token), lambda _: None)

    async def _call(self, call: Callable[[str | None], Awaitable[Any]], read: Callable[[Any], T]) -> T:
        token = await self._token() if self._token else None
        try:
            return await _answered(call(token), read)
        except GitHubRefused as refused:
            if refused.answered != 401 or token is None or self._token is None or self._forget is None:
                raise
            self._forget(token)
        return await _answered(call(await self._token()), read)


class _Api(GitHubAPI):
    """gidgethub's client, extended to remember the budget and to send conditional requests."""

    def __init__(
        self, client: httpx.AsyncClient, *arguments: Any, key: str, answers: Answers | None, **options: Any
    ) -> None:
        super().__init__(client, *arguments, **options)
        self.budget = GitHubBudget()
        self._key, self._answers = key, answers

    async def page(self, url: str, key: str, token: str | None) -> tuple[Sequence[Any], str | None]:
        """Fetch one page of a list. Returns its items and the next page's address."""
        found: Any
        found, after, _ = await self._make_request("GET", url, {}, b"", JSON, oauth_token=token)
        if not isinstance(found, dict):
            return found, after
        if key not in found:
            raise GitHubUnavailable(f"GitHub's response is not as documented: it has no {key}")
        return found[key], after

    async def one_page(self, url: str, etag: str, token: str | None) -> Page:
        """Fetch one page, unless it still has this ETag.

        Raises:
            gidgethub.HTTPException: with status 304, if it has.
        """
        place = sansio.format_url(url, {}, base_url=self.base_url)
        headers = sansio.create_headers(self.requester, accept=JSON, oauth_token=token)
        if etag:
            headers["if-none-match"] = etag
        await self.manage_rate_limit(method="GET", url=place)
        status, said, content = await super()._request("GET", place, headers)
        self._remember(status, said, content)
        data, _, more = sansio.decipher_response(status, said, content)
        return Page(data, said.get("etag", ""), more is not None, said.get("x-github-sso", ""))

    async def manage_rate_limit(self, *, method: str, url: str) -> None:
        """Refuse calls while GitHub's limit applies. GitHub bans callers that continue."""
        until = self.budget.blocked_until
        if until and until > datetime.now(UTC):
            raise GitHubRateLimited(_used_up(until), reset_at=until)

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, Mapping[str, str], bytes]:
        kept = self._answers.get(self._key, url) if self._answers and method == "GET" else None
        if kept:
            headers = {**headers, "if-none-match": kept.etag}
        status, said, content = await super()._request(method, url, headers, body)
        self._remember(status, said, content)
        if kept and status == 304:
            return 200, kept.headers, kept.body
        if self._answers and method == "GET" and status == 200 and (etag := said.get("etag")):
            needed = {name: said[name] for name in ("content-type", "link") if name in said}
            self._answers.put(self._key, url, CachedResponse(etag, needed, content))
        return status, said, content

    def _remember(self, status: int, said: Mapping[str, str], content: bytes) -> None:
        self.budget = budget_after(self.budget, status, said, content)
        if status >= 500:  # checked before gidgethub, which fails on statuses that only proxies use
            raise GitHubUnavailable(f"GitHub answered {status}")


def budget_after(before: GitHubBudget, status: int, headers: Mapping[str, str], body: bytes = b"") -> GitHubBudget:
    """Read the budget from a response's headers (GitHub: "Best practices for using the REST API")."""
    try:
        reset = datetime.fromtimestamp(int(headers["x-ratelimit-reset"]), UTC)
        seen = GitHubBudget(
            limit=int(headers["x-ratelimit-limit"]), remaining=int(headers["x-ratelimit-remaining"]), reset_at=reset
        )
    except (KeyError, ValueError, OverflowError):
        seen = before.model_copy(update={"blocked_until": None})  # GHES without limits sends none
    if status not in (403, 429):
        return seen
    if (wait := headers.get("retry-after", "")).isdigit():
        return seen.model_copy(update={"blocked_until": datetime.now(UTC) + timedelta(seconds=int(wait))})
    if headers.get("x-ratelimit-remaining") == "0":
        return seen.model_copy(update={"blocked_until": seen.reset_at})
    if status == 429 or b"secondary rate limit" in body.lower():
        return seen.model_copy(update={"blocked_until": datetime.now(UTC) + timedelta(seconds=SECONDARY)})
    return seen


async def _answered(call: Awaitable[Any], read: Callable[[Any], T]) -> T:
    """Return GitHub's response. Converts its errors to ours."""
    try:
        return read(await call)
    except gidgethub.HTTPException as error:
        raise refusal(error) from error
    except httpx.HTTPError as error:
        raise GitHubUnavailable(f"GitHub did not answer: {type(error).__name__} {error}".rstrip()) from error
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise GitHubUnavailable(f"GitHub's response is not as documented: {where}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise GitHubUnavailable(f"GitHub's response is not valid JSON: {error}") from error


def refusal(
    error: gidgethub.HTTPException,
) -> GitHubNotFound | GitHubRateLimited | GitHubRefused | SingleSignOnNeeded:
    """Convert a 4xx response to an error with a remedy."""
    status, words = int(error.status_code), str(error)
    said = error.headers.get("x-github-sso", "")
    if status == 403 and said.startswith("required"):
        return SingleSignOnNeeded(
            words, remedy=f"Open {said.partition('url=')[2]} and sign in, then sign in here again."
        )
    limited = budget_after(GitHubBudget(), status, error.headers, words.encode()).blocked_until
    if limited:
        return GitHubRateLimited(_used_up(limited), reset_at=limited)
    if status in (404, 410):
        return GitHubNotFound(f"GitHub answered {status}: {words}")
    if status == 401:
        remedy = "Check the App's id and private key, and that this machine's clock is right."
        return GitHubRefused(f"GitHub answered {status}: {words}", answered=status, remedy=remedy)
    return GitHubRefused(f"GitHub answered {status}: {words}", answered=status)


def _used_up(until: datetime) -> str:
    return f"GitHub's rate limit is used up; it accepts no requests until {until:%Y-%m-%d %H:%M:%S} UTC"
