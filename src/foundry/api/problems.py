"""Sends every error as application/problem+json (RFC 9457) with a stable code, the field at fault and a remedy."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from foundry.api.access_table import ROUTES, described
from foundry.api.errors import BadJson, BadRequest, MethodNotAllowed, NotJson, TooLarge
from foundry.contracts.errors import BadInput, FoundryError, NotFound, NotSignedIn, Unavailable
from foundry.contracts.github_access import SingleSignOnNeeded
from foundry.contracts.github_state import NotInstalled
from foundry.contracts.ids import new_id
from foundry.runtime.store.base import Busy

MEDIA_TYPE = "application/problem+json"

log = structlog.get_logger("foundry.api")


class Problem(BaseModel):
    """One error, for people (title, detail, remedy) and for programs (code, field)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    remedy: str


def problem(error: FoundryError) -> Problem:
    """Return an error in the form that clients get."""
    title = (inspect.getdoc(type(error)) or error.code).split("\n")[0].split(". ")[0].rstrip(".")
    return Problem(
        type=f"urn:foundry:error:{error.code}",
        title=title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        field=error.field,
        remedy=error.remedy,
    )


def problem_response(error: FoundryError, headers: Mapping[str, str] | None = None) -> Response:
    extra = dict(headers or {})
    if error.status == 503:
        extra.setdefault("Retry-After", "1")
    if isinstance(error, NotSignedIn):
        extra.setdefault("WWW-Authenticate", 'Bearer realm="foundry"')
    return Response(problem(error).model_dump_json(), error.status, extra, MEDIA_TYPE)


def unexpected(error: BaseException, what: str) -> FoundryError:
    """Log a defect with an id, and return an error without details."""
    reference = new_id("err")
    log.error("a request failed unexpectedly", reference=reference, request=what, exc_info=error)
    return FoundryError(f"unexpected error; look for {reference} in the server's log")


# pydantic's errors, converted to ours

REMEDIES = {
    "missing": "Add the field.",
    "extra_forbidden": "Remove the field. The server does not know it.",
    "string_too_short": "Send at least {min_length} non-blank character(s).",
    "string_too_long": "Send at most {max_length} characters.",
    "string_unicode": "Send valid Unicode, without lone surrogates.",
    "string_pattern_mismatch": "Send text that matches {pattern}.",
}


def bad_input(errors: Sequence[Mapping[str, Any]]) -> FoundryError:
    """Return the first of pydantic's errors, without the invalid value."""
    first = errors[0]
    place, kind = [str(part) for part in first["loc"]], str(first["type"])
    field = ".".join(place[1:]) or place[0]
    if kind == "json_invalid":
        return BadJson(f"the body is not valid JSON: {first.get('ctx', {}).get('error', first['msg'])}", field="body")
    if place[0] == "path":
        return NotFound(f"this is not a valid {field} id", field=field)
    message = str(first["msg"]).removeprefix("Value error, ")
    remedy = REMEDIES.get(kind)
    return BadInput(f"{field}: {message}", field=field, remedy=remedy and remedy.format(**first.get("ctx", {})))


def _of_http(error: HTTPException, request: Request) -> FoundryError:
    match error.status_code:
        case 404:
            return NotFound(f"the path {request.url.path} does not exist", field="path")
        case 405:
            return MethodNotAllowed(f"{request.url.path} does not support {request.method}", field="method")
        case 413:
            return TooLarge(str(error.detail), field="body")
        case 415:
            return NotJson(str(error.detail), field="Content-Type")
        case 400 if error.__cause__ is not None:
            return BadJson("the body is not readable JSON", field="body")
        case status if 400 <= status < 500:
            return BadRequest(str(error.detail))
        case _:
            return unexpected(error, f"{request.method} {request.url.path}")


def _allowed(request: Request) -> str:
    """Return every method that this path supports. The router's own error names only those of one route."""
    found: set[str] = set()
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes):
            found.add(method)
    return ", ".join(sorted(found))


async def answer(request: Request, error: FoundryError, headers: Mapping[str, str] | None = None) -> Response:
    """Return the response for an error. An error without a field gets the path parameter that it is about.

    Pages may set `error_page(request, problem)` in `app.state`. It answers browser navigation, requests of a page's
    script, and the stream of a page whose person is signed out, or may no longer see it.
    """
    if error.field is None and 400 <= error.status < 500 and request.path_params:
        error.field = next(reversed(request.path_params))
    page = getattr(request.app.state, "error_page", None)
    accept = request.headers.get("accept", "")
    wanted = "text/html" in accept or request.headers.get("hx-request") == "true"
    gone = NotSignedIn | NotFound | NotInstalled | SingleSignOnNeeded
    wanted = wanted or ("text/event-stream" in accept and isinstance(error, gone))
    if page is not None and wanted and not request.url.path.startswith("/api/"):
        return await page(request, problem(error))
    return problem_response(error, headers)


def install_problems(app: FastAPI) -> None:
    """Turn every error of every route into a problem. `guard` catches defects further out."""

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, FoundryError)
        return await answer(request, error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return await answer(request, bad_input(error.errors()))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        cause, headers = error.__cause__, error.headers
        if error.status_code == 405:
            headers = {"Allow": _allowed(request)}
        return await answer(request, cause if isinstance(cause, FoundryError) else _of_http(error, request), headers)

    async def away(request: Request, error: Exception) -> Response:
        log.warning("the database was unavailable", error=str(error))
        return await answer(request, Unavailable("the database did not answer; nothing was changed"))

    app.add_exception_handler(FoundryError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http)
    for kind in (Busy, OperationalError, InterfaceError):
        app.add_exception_handler(kind, away)


RESPONSES: dict[int | str, dict[str, Any]] = {"default": {"model": Problem, "description": "The error and its remedy."}}


def documented(schema: dict[str, Any]) -> dict[str, Any]:
    """Correct the OpenAPI document: every error is a problem+json, including validation errors. Every operation says
    what it needs.
    """
    for path, operations in schema.get("paths", {}).items():
        for method, operation in operations.items():
            operation["description"] += f"\n\nNeeds: {described(ROUTES[method.upper(), path])}."
            responses = operation["responses"]
            if "HTTPValidationError" in str(responses.get("422", "")):
                del responses["422"]
            if "default" in responses:
                schema_ref = {"$ref": "#/components/schemas/Problem"}
                responses["default"]["content"] = {MEDIA_TYPE: {"schema": schema_ref}}
    for unused in ("HTTPValidationError", "ValidationError"):
        schema.get("components", {}).get("schemas", {}).pop(unused, None)
    return schema
