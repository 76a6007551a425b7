"""People's GitHub tokens: opened for one call, refreshed in time, and never sent twice.

A refresh is three steps: a turn of UserGitHubData marks the attempt, one POST outside of any turn sends the refresh
token, and a turn records the outcome. GitHub accepts a refresh token once, so while a mark stands every other caller,
on every replica, waits for that outcome. If the outcome stays unknown, the person has to sign in again.

An open token is in the memory of whoever asked for it, and nowhere else: commands, answers, rows and logs have it
sealed or not at all.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import NoReturn, Protocol, TypeVar

import structlog

from foundry.actors.encryption import Sealer, WrongKey
from foundry.contracts import addresses
from foundry.contracts.errors import FoundryError, NotFound, Unavailable
from foundry.contracts.github_payloads import GitHubAccount, UserToken
from foundry.contracts.ids import UserId, new_id
from foundry.contracts.messages import Address, Command
from foundry.contracts.user_github_data import (
    AccessTokenRejected,
    BeginRefresh,
    ReconnectNeeded,
    RefreshEnded,
    RefreshOutcome,
    SealedTokens,
)
from foundry.github.errors import GitHubSignInFailed, GitHubUnavailable

R = TypeVar("R")

EARLY = timedelta(minutes=5)  # before its expiry a token is refreshed
WAIT = 15.0  # seconds to wait for a refresh that another caller has begun
PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)  # seconds between two looks; the last one repeats
RECORD = 45.0  # seconds to go on recording what GitHub said while the database is away

log = structlog.get_logger("foundry.github")


class Ask(Protocol):
    """`foundry.runtime.runtime.Runtime.ask`."""

    async def __call__(self, address: Address, command: Command[R]) -> R: ...


class Refresher(Protocol):
    """`foundry.github.oauth.OAuth`."""

    async def refresh(self, refresh_token: str) -> UserToken: ...


class PersonTokens:
    """The tokens of all people, for GitHubState's door.

    Args:
        stored: reads a person's tokens as UserGitHubData has them.
        ask: runs a turn of UserGitHubData.
        sealer: opens and seals tokens.
        oauth: GitHub's sign-in endpoint.
        public_url: where people connect again; without a trailing slash.
        now: the clock that expiry times are compared with.
        identify: returns whose token it is. With each new token the person's login is looked at again.
    """

    def __init__(
        self,
        stored: Callable[[UserId], Awaitable[SealedTokens]],
        ask: Ask,
        sealer: Sealer,
        oauth: Refresher,
        *,
        public_url: str = "",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        wait: float = WAIT,
        identify: Callable[[str], Awaitable[GitHubAccount]] | None = None,
    ) -> None:
        self._stored, self._ask, self._sealer, self._oauth = stored, ask, sealer, oauth
        self._url, self._now, self._wait = public_url, now, wait
        self._identify = identify
        self._attempts: set[asyncio.Task[RefreshOutcome | None]] = set()

    async def token(self, user: UserId) -> str:
        """Return a token that GitHub accepts for the next minutes, as far as Foundry knows.

        1. The stored one, if it is good for five minutes. 2. Else a refreshed one; a refresh that another caller began
        is waited for. 3. Else the stored one, as long as it lasts.

        Raises:
            ReconnectNeeded: there is none, and none can be had without the person.
            GitHubUnavailable: it has to be refreshed, and GitHub could not be reached, or has not answered yet.
        """
        began, looks = asyncio.get_running_loop().time(), 0
        while True:
            kept = await self._kept(user)
            if kept.access_token and (kept.expires_at is None or kept.expires_at - self._now() > EARLY):
                return self._open(kept.access_token, user)
            if not kept.refreshing:
                if kept.refresh_token is None:
                    return self._last(kept, user) or self._reconnect(user)
                outcome = await self._refresh(user, kept.refresh_token)
                if outcome is RefreshOutcome.NOT_USED:
                    return self._last(kept, user) or _unavailable("GitHub cannot be asked for a new token now")
                if outcome is not None:
                    continue
            if asyncio.get_running_loop().time() - began >= self._wait:
                return self._last(kept, user) or _unavailable("a refresh of the GitHub token is still under way")
            await asyncio.sleep(PAUSES[min(looks, len(PAUSES) - 1)])
            looks += 1

    async def rejected(self, user: UserId, token: str) -> None:
        """GitHub answered 401 to this token. If it is still the stored one, it is deleted.

        The next `token` refreshes, if there is a refresh token. Else the person has to connect again.
        """
        kept = await self._kept(user)
        if kept.access_token and hmac.compare_digest(self._open(kept.access_token, user).encode(), token.encode()):
            log.info("GitHub rejected a person's token", user=user)
            await self._ask(addresses.user_github_data(user), AccessTokenRejected(access_token=kept.access_token))

    async def close(self, limit: float = 5.0) -> None:
        """Let refreshes under way end, for at most `limit` seconds: one that is cut off means to connect again."""
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=limit)

    async def _kept(self, user: UserId) -> SealedTokens:
        try:
            return await self._stored(user)
        except NotFound:
            return SealedTokens()

    def _last(self, kept: SealedTokens, user: UserId) -> str:
        """The stored token if it has not expired; else an empty string."""
        if kept.access_token and (kept.expires_at is None or kept.expires_at > self._now()):
            return self._open(kept.access_token, user)
        return ""

    def _open(self, sealed: str, user: UserId) -> str:
        try:
            return self._sealer.unseal(sealed)
        except WrongKey as error:
            log.warning("a stored GitHub token cannot be decrypted", user=user, reason=error.detail)
            self._reconnect(user)

    def _reconnect(self, user: UserId) -> NoReturn:
        raise ReconnectNeeded(
            f"Foundry has no usable GitHub token of person {user}",
            remedy=f"Connect GitHub again at {self._url}/auth/github." if self._url else None,
        )

    async def _refresh(self, user: UserId, sealed: str) -> RefreshOutcome | None:
        """Refresh, whatever becomes of the caller. None: another attempt is under way, or other tokens are stored."""
        attempt = asyncio.create_task(self._attempt(user, sealed, self._open(sealed, user)))
        self._attempts.add(attempt)
        attempt.add_done_callback(self._attempts.discard)
        return await asyncio.shield(attempt)

    async def _attempt(self, user: UserId, sealed: str, refresh_token: str) -> RefreshOutcome | None:
        """1. Mark the attempt. 2. Send the token once. 3. Record the outcome."""
        attempt, person = new_id("rfr"), addresses.user_github_data(user)
        if not await self._surely(person, BeginRefresh(attempt=attempt, refresh_token=sealed)):
            return None
        ended = await self._send(attempt, refresh_token)
        log.info("a person's GitHub token was refreshed", user=user, outcome=ended.outcome.value)
        await self._surely(person, ended)
        return ended.outcome

    async def _send(self, attempt: str, refresh_token: str) -> RefreshEnded:
        try:
            made = await self._oauth.refresh(refresh_token)
        except GitHubUnavailable as away:
            log.warning("a GitHub token was not refreshed", attempt=attempt, reason=away.detail)
            outcome = RefreshOutcome.UNKNOWN if away.sent else RefreshOutcome.NOT_USED
            return RefreshEnded(attempt=attempt, outcome=outcome)
        except GitHubSignInFailed as refused:
            log.warning("a GitHub token was not refreshed", attempt=attempt, reason=refused.detail)
            known = RefreshOutcome.REFUSED if refused.error == "bad_refresh_token" else RefreshOutcome.NOT_USED
            return RefreshEnded(attempt=attempt, outcome=known if refused.error else RefreshOutcome.UNKNOWN)
        now = self._now()
        return RefreshEnded(
            attempt=attempt,
            outcome=RefreshOutcome.REFRESHED,
            access_token=self._sealer.seal(made.access_token),
            refresh_token=self._sealer.seal(made.refresh_token) if made.refresh_token else None,
            expires_at=_after(now, made.expires_in),
            refresh_expires_at=_after(now, made.refresh_token_expires_in),
            login=await self._login(made.access_token),
        )

    async def _login(self, token: str) -> str:
        """The person's login now. Empty if GitHub does not say: it is for display."""
        if self._identify is None:
            return ""
        try:
            return (await self._identify(token)).login
        except FoundryError as error:
            log.info("a person's login was not looked at", reason=error.detail)
            return ""

    async def _surely(self, address: Address, command: Command[R]) -> R:
        """Ask, and ask again while the database is away: the attempt's id makes a repeat harmless."""
        began, tries = asyncio.get_running_loop().time(), 0
        while True:
            try:
                return await self._ask(address, command)
            except Unavailable:
                if asyncio.get_running_loop().time() - began > RECORD:
                    raise
            await asyncio.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
            tries += 1


def _after(now: datetime, seconds: int | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)


def _unavailable(what: str) -> NoReturn:
    raise GitHubUnavailable(what)
