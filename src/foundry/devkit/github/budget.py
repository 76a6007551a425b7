"""Rate limits: every request counts, except an unchanged response (304)."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass

from foundry.devkit.github.caller import Caller
from foundry.devkit.github.refusals import Refusal
from foundry.devkit.github.store import Doc

REQUESTS = 5_000  # in a window; the minimum of an installation
REQUESTS_OF_NOBODY = 60  # in a window, without a token
NOBODY = "nobody"  # key of requests without a token
WINDOW = 3_600  # seconds


@dataclass
class Budget:
    used: int = 0
    reset: int = 0  # Unix time


@dataclass
class Count:
    """Requests that one caller has made."""

    requests: int = 0
    not_modified: int = 0  # of these, unchanged responses (304)
    charged: int = 0  # of these, requests that used the budget


class Budgets:
    """One budget for each installation, each person, and the App itself. A restart resets them."""

    def __init__(self) -> None:
        self._budgets: dict[str, Budget] = {}
        self.counts: defaultdict[str, Count] = defaultdict(Count)
        self.set(REQUESTS)

    def set(self, limit: int, *, window: int = WINDOW, status: int = 403, retry_after: int | None = None) -> None:
        """Give every caller a new budget.

        Args:
            limit: requests in a window.
            window: seconds.
            status: status of the response over the limit, 403 or 429.
            retry_after: seconds for Retry-After; GitHub sends none when the primary limit is used up.
        """
        self.limit, self.window, self.status, self.retry_after = limit, window, status, retry_after
        self._budgets.clear()

    def leave(self, key: str, remaining: int, *, reset_in: int | None = None) -> None:
        """Set what a caller has left in this window, and the seconds until the next window."""
        budget = self._budgets.setdefault(key, Budget())
        now = int(time.time())
        if reset_in is not None or budget.reset <= now:
            budget.reset = now + (self.window if reset_in is None else reset_in)
        budget.used = self._limit(key) - remaining

    def requests(self) -> dict[str, Doc]:
        """Return what each caller has requested since the counts were cleared."""
        return {
            key: {"requests": c.requests, "not_modified": c.not_modified, "charged": c.charged}
            for key, c in self.counts.items()
        }

    def spend(self, caller: Caller) -> dict[str, str]:
        """Count a request. Returns the headers with the remaining budget.

        Raises:
            Refusal: the budget is used up.
        """
        budget = self._of(caller)
        if budget.used >= self._limit(caller.key):
            who = {"installation": f"installation ID {caller.installation}", "user": f"user ID {caller.person}"}
            headers = self.headers(caller)
            if self.retry_after is not None:
                headers["Retry-After"] = str(self.retry_after)
            text = f"API rate limit exceeded for {who.get(caller.kind, '127.0.0.1')}."
            raise Refusal(self.status, text, headers=headers)
        budget.used += 1
        self.counts[caller.key].charged += 1
        return self.headers(caller)

    def give_back(self, caller: Caller) -> dict[str, str]:
        """Refund a request that turned out to be free."""
        budget = self._of(caller)
        budget.used = max(0, budget.used - 1)
        self.counts[caller.key].charged -= 1
        self.counts[caller.key].not_modified += 1
        return self.headers(caller)

    def headers(self, caller: Caller) -> dict[str, str]:
        shown = self._numbers(caller)
        return {f"X-RateLimit-{name.title()}": str(value) for name, value in shown.items()}

    def overview(self, caller: Caller) -> Doc:
        """Return the body of GET /rate_limit."""
        numbers = self._numbers(caller)
        return {"resources": {"core": numbers}, "rate": numbers}

    def _numbers(self, caller: Caller) -> Doc:
        budget, limit = self._of(caller), self._limit(caller.key)
        left = max(0, limit - budget.used)
        return {"limit": limit, "remaining": left, "used": budget.used, "reset": budget.reset, "resource": "core"}

    def _limit(self, key: str) -> int:
        return min(REQUESTS_OF_NOBODY, self.limit) if key == NOBODY else self.limit

    def _of(self, caller: Caller) -> Budget:
        budget = self._budgets.setdefault(caller.key, Budget())
        now = int(time.time())
        if budget.reset <= now:
            budget.used, budget.reset = 0, now + self.window
        return budget
