"""The middleware that every request passes first. It checks size, content type and origin, and it catches defects.

Guarantee: a body over the limit is refused by its Content-Length, or as soon as it exceeds the limit; no part of it
reaches a route. A state-changing request that the session cookie authorises must come from Foundry's own pages. One
with the admin token is in the audit log before it reaches a route. An unexpected exception is logged with an id, and
the response has no details.
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundry.api.audit import record_admin_request
from foundry.api.auth import Kind, credential_of, has_cookie
from foundry.api.context import Foundry
from foundry.api.errors import BadOrigin, BadRequest, NotJson, TooLarge
from foundry.api.problems import answer, unexpected
from foundry.api.scopes import SAFE
from foundry.contracts.errors import FoundryError

WEBHOOKS = "/api/rivet/app/webhooks/github"
# The longest prompt is 100,000 characters, and JSON may encode one in twelve bytes: every legal body fits.
BODY_LIMIT = 2 * 1024 * 1024  # bytes
WEBHOOK_LIMIT = 25 * 1024 * 1024  # bytes; GitHub's own limit


class Guard:
    """The outermost ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        foundry: Foundry = scope["app"].state.foundry
        begun, status, streamed = time.perf_counter(), 0, False

        async def watch(message: Message) -> None:
            nonlocal status, streamed
            if message["type"] == "http.response.start":
                status = message["status"]
                streamed = Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream")
            await send(message)

        try:
            if "\0" in scope["path"] or b"%00" in scope["query_string"]:
                raise BadRequest("the address contains a NUL character", field="path")
            body = b""
            if scope["method"] not in SAFE:
                body = await self._admit(scope, receive)
                await _record(scope)
            await self._app(scope, _replay(body, receive) if body is not None else receive, watch)
        except FoundryError as error:
            refusal = await answer(Request(scope), error, {"Connection": "close"})
            await refusal(scope, receive, watch)
        except Exception as error:
            unknown = unexpected(error, f"{scope['method']} {scope['path']}")
            if status:
                raise  # the response has started, so it is too late to send the error
            refusal = await answer(Request(scope), unknown)
            await refusal(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "(none)")
            foundry.metrics.requests.labels(scope["method"], route, str(status)).inc()
            if not streamed:
                foundry.metrics.seconds.labels(route).observe(time.perf_counter() - begun)

    async def _admit(self, scope: Scope, receive: Receive) -> bytes:
        """Read the whole body of a state-changing request.

        Raises:
            FoundryError: the request is refused.
        """
        connection = HTTPConnection(scope)
        headers = connection.headers
        limit = WEBHOOK_LIMIT if scope["path"] == WEBHOOKS else BODY_LIMIT
        announced = headers.get("content-length", "")
        if announced.isdigit() and int(announced) > limit:
            raise _too_large(limit)
        if has_cookie(connection):  # it authorises the change
            check_origin(headers, scope["app"].state.foundry.public_url)
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                break
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise _too_large(limit)
            if not message.get("more_body"):
                break
        if size and scope["path"].startswith("/api/") and not _is_json(headers.get("content-type", "")):
            raise NotJson(f"{scope['path']} accepts only JSON", field="Content-Type")
        return b"".join(parts)


def check_origin(headers: Headers, public_url: str) -> None:
    """Require that a browser's change comes from one of Foundry's own pages.

    Raises:
        BadOrigin: the change comes from another site.
    """
    came_from = headers.get("origin") or headers.get("referer")
    if came_from is None:
        if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
            return  # every browser sends one of the three headers for a cross-site change
        raise BadOrigin("the change comes from a page of another site", field="Origin")
    origin, ours = urlsplit(came_from), urlsplit(public_url)
    if origin.netloc == ours.netloc:
        same = origin.scheme == ours.scheme
    else:  # a proxy, or another name of this machine
        same = origin.scheme in ("http", "https") and origin.netloc == headers.get("host")
    if not same:
        raise BadOrigin(f"the change comes from a page of {came_from[:200]}", field="Origin")


async def _record(scope: Scope) -> None:
    """Record a change that somebody makes with the admin token.

    Raises:
        NotSignedIn: the bearer token is worth nothing.
        Unavailable: it could not be recorded.
    """
    connection, foundry = HTTPConnection(scope), scope["app"].state.foundry
    credential = credential_of(connection, foundry)
    if credential is not None and credential.kind is Kind.ADMIN:
        await record_admin_request(foundry, connection, credential)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit // 1024} KiB", field="body")


def _is_json(content_type: str) -> bool:
    kind = content_type.split(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that replays the body already read, then passes on later messages."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
