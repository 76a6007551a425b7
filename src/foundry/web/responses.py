"""How pages answer: HTML with the headers that keep a browser safe, forms, and refusals where a person can read them.

A form's button posts through htmx and puts the answer into `#flash`; what has changed comes over the page's stream.
Without scripts the same form posts plainly and gets the page again.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError
from typing_extensions import TypeVar

from foundry.api.auth import find_me
from foundry.api.problems import Problem, bad_input
from foundry.contracts.errors import BadInput, FoundryError, NotSignedIn
from foundry.web import pages as page
from foundry.web import render

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
    "Referrer-Policy": "same-origin",  # not `no-referrer`: then browsers hide the Origin that the guard looks at
    "Cache-Control": "private, no-cache",
    "Vary": "Cookie, HX-Request",
}
FIELDS = 50  # of one form, at most

Form = Mapping[str, str]
M = TypeVar("M", bound=BaseModel)


def html(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """A page or a fragment."""
    return HTMLResponse(text, status, {**SAFE, **(headers or {})})


def by_script(request: Request) -> bool:
    """Whether htmx asks, which wants a fragment, rather than the browser, which wants a page."""
    return request.headers.get("hx-request") == "true"


async def form_of(request: Request) -> Form:
    """The fields of a posted form, blank ones left out.

    Raises:
        BadInput: it is no form, or has too many fields, or a NUL character in one.
    """
    async with request.form(max_files=0, max_fields=FIELDS) as form:
        found = {name: value for name, value in form.items() if isinstance(value, str)}
    for name, value in found.items():
        if "\0" in value:
            raise BadInput(f"{name} has a NUL character in it", field=name, remedy="Leave it out.")
    return {name: value for name, value in found.items() if value.strip()}


def filled(model: type[M], **values: object) -> M:
    """What a form means, held to the API's own rules.

    Raises:
        FoundryError: the first field that breaks them.
    """
    try:
        return model.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        raise bad_input(error.errors()) from None


def done(request: Request, back: str, note: str = "") -> Response:
    """The answer to a button: an empty flash, or the page again."""
    return html(render.flash(note=note)) if by_script(request) else RedirectResponse(back, 303)


def refused(request: Request, problem: Problem, offer: page.Offer | None = None) -> Response:
    """The reason, in the page's flash; `offer` goes on in spite of it."""
    headers = {"HX-Retarget": "#flash", "HX-Reswap": "outerHTML"}
    return html(render.flash(problem, offer), problem.status, headers)


async def error_page(request: Request, problem: Problem) -> Response:
    """What the API's error handlers answer with where a browser navigates or a page's script asks."""
    if by_script(request):
        return refused(request, problem)
    if problem.code == NotSignedIn.code and request.method == "GET":
        return html(page.start(None, here(request)), problem.status)
    try:
        who = await find_me(request)
    except FoundryError:
        who = None
    back = "/" if request.method == "GET" else back_from(request)
    return html(page.problem(who.person if who else None, problem, back), problem.status)


def here(request: Request) -> str:
    """This page's address, to come back to."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{quote(request.url.path)}{query}"


def back_from(request: Request) -> str:
    """The page a form was on, as far as the browser tells; it has passed the guard's check of where it came from."""
    came_from = request.headers.get("referer", "")
    ours = str(request.base_url)
    return "/" + came_from.removeprefix(ours) if came_from.startswith(ours) else "/"
