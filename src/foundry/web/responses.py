"""The pages' responses: HTML with security headers, forms, and refusals that a person can read.

A form's button posts through htmx and puts the response into `#flash`; the changes arrive over the page's stream.
Without scripts the same form posts normally and gets the page again.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError
from typing_extensions import TypeVar

from foundry.api.auth import find_me
from foundry.api.errors import SignedOut
from foundry.api.problems import Problem, bad_input
from foundry.api.realtime import event_lines
from foundry.contracts.errors import BadInput, FoundryError, NotSignedIn
from foundry.web import fragments
from foundry.web import pages as page

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
SAFE = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with `no-referrer` browsers hide the Origin that the guard checks
    "Cache-Control": "private, no-cache",
    "Vary": "Cookie, HX-Request",
}
FIELDS = 50  # maximum number of fields in one form

Form = Mapping[str, str]
M = TypeVar("M", bound=BaseModel)


def html(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """Return a page or a fragment as a response."""
    return HTMLResponse(text, status, {**SAFE, **(headers or {})})


def by_script(request: Request) -> bool:
    """Return True for a request by htmx, which wants a fragment; a browser's own request wants a page."""
    return request.headers.get("hx-request") == "true"


async def form_of(request: Request) -> Form:
    """Return the non-blank fields of a posted form.

    Raises:
        BadInput: the body is not a form, has too many fields, or contains a NUL character.
    """
    async with request.form(max_files=0, max_fields=FIELDS) as form:
        found = {name: value for name, value in form.items() if isinstance(value, str)}
    for name, value in found.items():
        if "\0" in value:
            raise BadInput(f"{name} contains a NUL character", field=name, remedy="Remove the NUL character.")
    return {name: value for name, value in found.items() if value.strip()}


def filled(model: type[M], **values: object) -> M:
    """Validate a form by the API's own rules.

    Raises:
        FoundryError: a field breaks a rule; the error names the first one.
    """
    try:
        return model.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        raise bad_input(error.errors()) from None


def done(request: Request, back: str, note: str = "") -> Response:
    """Return the response to a button: an empty flash, or the page again."""
    return html(fragments.page.flash(note=note)) if by_script(request) else RedirectResponse(back, 303)


def refused(request: Request, problem: Problem, offer: page.Offer | None = None) -> Response:
    """Return the reason for a refusal, for the page's flash. `offer` is a form that overrides the refusal."""
    headers = {"HX-Retarget": "#flash", "HX-Reswap": "outerHTML"}
    return html(fragments.page.flash(problem, offer), problem.status, headers)


async def error_page(request: Request, problem: Problem) -> Response:
    """Return the API's errors for browser navigation and for requests of a page's script."""
    if "text/event-stream" in request.headers.get("accept", ""):
        return leave("" if problem.status == 401 else "access")
    if by_script(request):
        return refused(request, problem)
    if problem.code in (NotSignedIn.code, SignedOut.code) and request.method == "GET":
        signed_out = problem.detail if problem.code == SignedOut.code else ""
        return html(page.start(None, here(request), signed_out), problem.status)
    try:
        who = await find_me(request)
    except FoundryError:
        who = None
    back = "/" if request.method == "GET" else back_from(request)
    return html(page.problem(who.person if who else None, problem, back), problem.status)


def leave(why: str) -> Response:
    """Return the response to a page that opens its stream again and may not have it: it reloads, and shows why.

    Args:
        why: `access`: it may no longer be seen. Empty: the person is signed out.
    """
    return Response(event_lines("leave", why), headers=SAFE, media_type="text/event-stream")


def here(request: Request) -> str:
    """Return this page's path and query, to come back to."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{quote(request.url.path)}{query}"


def back_from(request: Request) -> str:
    """Return the page that the form was on, if the browser sends it. The guard has already checked the origin."""
    came_from = request.headers.get("referer", "")
    ours = str(request.base_url)
    return "/" + came_from.removeprefix(ours) if came_from.startswith(ours) else "/"
