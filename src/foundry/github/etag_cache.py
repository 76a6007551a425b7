"""A response cache for conditional requests. An unchanged response costs nothing of GitHub's rate limit.

Source: GitHub's documentation, "Use conditional requests if appropriate": a 304 does not count against the limit.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple, Protocol

KEPT = 32 * 1024 * 1024  # bytes of bodies, for all installations together


class CachedResponse(NamedTuple):
    """A stored response, as received."""

    etag: str
    headers: dict[str, str]  # the ones needed to read the body: content-type and link
    body: bytes


class Answers(Protocol):
    """The cache. `key` identifies the caller, so that nobody gets another caller's responses."""

    def get(self, key: str, url: str) -> CachedResponse | None: ...
    def put(self, key: str, url: str, answer: CachedResponse) -> None: ...


class KeptInMemory(Answers):
    """A cache in memory. It evicts the least used responses when it exceeds its limit in bytes."""

    def __init__(self, limit: int = KEPT) -> None:
        self._limit = limit
        self._bytes = 0
        self._answers: OrderedDict[tuple[str, str], CachedResponse] = OrderedDict()

    def get(self, key: str, url: str) -> CachedResponse | None:
        found = self._answers.get((key, url))
        if found is not None:
            self._answers.move_to_end((key, url))
        return found

    def put(self, key: str, url: str, answer: CachedResponse) -> None:
        replaced = self._answers.pop((key, url), None)
        self._bytes += len(answer.body) - (len(replaced.body) if replaced else 0)
        self._answers[key, url] = answer
        while self._bytes > self._limit:
            _, dropped = self._answers.popitem(last=False)
            self._bytes -= len(dropped.body)
