"""One REST request as the routes see it, and their responses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from fastapi import Request

from foundry.devkit.github.caller import Caller
from foundry.devkit.github.shapes import BOT
from foundry.devkit.github.sso import Sso
from foundry.devkit.github.store import Doc

PAGE = 30  # default number of items on a page
MOST = 100  # maximum number of items on a page


@dataclass
class Ask:
    """A request and its caller."""

    request: Request
    caller: Caller
    method: str
    path: list[str]
    body: Doc
    by: str = field(init=False)  # login shown as the actor of a change
    headers: dict[str, str] = field(default_factory=dict[str, str])  # of the response, beside every response's own

    def __post_init__(self) -> None:
        self.by = self.caller.login or BOT

    def query(self, name: str, otherwise: str = "") -> str:
        return self.request.query_params.get(name, otherwise)

    def hidden(self, sso: Sso) -> list[Doc]:
        """Return the organizations that a list leaves out for want of single sign-on. The response's header says so."""
        found = sso.hidden(self.caller)
        if found:
            numbers = ",".join(str(org["id"]) for org in found)
            self.headers["X-GitHub-SSO"] = f"partial-results; organizations={numbers}"
        return found

    @property
    def per_page(self) -> int:
        return min(MOST, max(1, _number(self.query("per_page"), PAGE)))

    def link(self, **query: object) -> str:
        """Return this address with another query."""
        base = str(self.request.url).split("?", 1)[0]
        return f"{base}?{urlencode(dict(self.request.query_params) | query)}"


@dataclass
class Listed:
    """A list to be paged. Only the items on the page are built.

    With a `key` the page is in an object with `total_count`. With `cursor`, pages are found by item instead of by number.
    """

    items: Sequence[Doc]
    show: Callable[[Doc], Any] = lambda item: item
    key: str = ""
    cursor: str = ""  # the field whose value is the cursor
    more: Doc = field(default_factory=dict[str, Any])  # beside `key` in the object

    def page(self, ask: Ask) -> tuple[Any, str]:
        """Return the page and its Link header."""
        size = ask.per_page
        shown, links = self._by_cursor(ask, size) if self.cursor else self._by_number(ask, size)
        body: Any = [self.show(item) for item in shown]
        if self.key:
            body = {"total_count": len(self.items), **self.more, self.key: body}
        return body, ", ".join(f'<{ask.link(**query)}>; rel="{rel}"' for rel, query in links.items())

    def _by_number(self, ask: Ask, size: int) -> tuple[Sequence[Doc], dict[str, dict[str, object]]]:
        page = max(1, _number(ask.query("page"), 1))
        last = max(1, -(-len(self.items) // size))
        links: dict[str, dict[str, object]] = {}
        if page > 1:
            links["prev"] = {"page": min(page - 1, last)}
        if page < last:
            links |= {"next": {"page": page + 1}, "last": {"page": last}}
        if page > 1:
            links["first"] = {"page": 1}
        return self.items[(page - 1) * size : page * size], links

    def _by_cursor(self, ask: Ask, size: int) -> tuple[Sequence[Doc], dict[str, dict[str, object]]]:
        wanted = ask.query("cursor")
        places = [str(item[self.cursor]) for item in self.items]
        start = places.index(wanted) if wanted in places else 0
        links: dict[str, dict[str, object]] = {}
        if start + size < len(places):
            links["next"] = {"cursor": places[start + size]}
        if start > 0:
            links["prev"] = {"cursor": places[max(0, start - size)]}
        return self.items[start : start + size], links


Answer = tuple[int, Any]
"""Status and body. A `Listed` is paged; None means no body."""


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isdigit() else otherwise
