"""Settings: a person's sessions and tokens, and the page that approves a command line's login."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from foundry.api import account, device_login
from foundry.api.auth import Me, Signed
from foundry.api.problems import Problem, problem
from foundry.contracts.app_shell import Scope
from foundry.contracts.errors import FoundryError
from foundry.web import pages as page
from foundry.web.live import stream
from foundry.web.responses import by_script, filled, form_of, html
from foundry.web.routes.layout import Showing, SignedIn

HERE = "/settings/sessions"

router = APIRouter()


@router.get(HERE)
async def shown(request: Request, who: Signed) -> Response:
    """Show the person's app sessions and API tokens."""
    return await _page(request, who)


async def _page(
    request: Request,
    who: Me,
    *,
    created: account.CreatedToken | None = None,
    typed: str = "",
    refusal: Problem | None = None,
) -> Response:
    sessions, tokens = await account.sessions(request, who), await account.tokens(request, who)
    text = page.account(who.person, sessions, tokens, created=created, typed=typed, problem=refusal)
    headers = {"Cache-Control": "no-store"} if created else None
    return html(text, refusal.status if refusal else 200, headers)


@router.get("/live/account")
async def live(request: Request, who: Signed, have: str = "") -> Response:
    """Stream the end of the person's app session."""
    return stream(request, "account page", Showing(SignedIn(request, who)), have)


@router.post("/settings/sessions/end-all")
async def end_every_session(request: Request, who: Signed) -> Response:
    """Sign out everywhere."""
    await account.end_every_session(request, who)
    return _again(request)


@router.post("/settings/sessions/{session}/end")
async def end_session(request: Request, who: Signed, session: str) -> Response:
    """End one app session."""
    await account.end_session(request, who, session)
    return _again(request)


@router.post("/settings/tokens")
async def create_token(request: Request, who: Signed) -> Response:
    """Create an API token and show it once. After a refusal, show the form again."""
    form = await form_of(request)
    scopes = [scope for scope in Scope if scope.value in form]
    try:
        wish = filled(
            account.NewToken,
            name=form.get("name", ""),
            scopes=scopes,
            expires_in_days=form.get("expires_in_days"),
        )
        created = await account.create_token(request, Response(), who, wish)
    except FoundryError as error:
        return await _page(request, who, typed=form.get("name", ""), refusal=problem(error))
    return await _page(request, who, created=created)


@router.post("/settings/tokens/{token}/revoke")
async def revoke_token(request: Request, who: Signed, token: str) -> Response:
    """Revoke an API token."""
    await account.revoke_token(request, who, token)
    return _again(request)


def _again(request: Request) -> Response:
    """Load the page again: its stream only says when the app session ends."""
    if by_script(request):
        return Response(status_code=204, headers={"HX-Redirect": HERE})
    return RedirectResponse(HERE, 303)


# a command line's login


@router.get("/login/device")
async def login(request: Request, who: Signed, user_code: str = "") -> Response:
    """Ask for the code, or show the login that has it."""
    if not user_code:
        return html(page.device_login(who.person))
    try:
        found = await device_login.waiting(request, who, user_code)
    except FoundryError as error:
        return html(page.device_login(who.person, user_code, problem=problem(error)), error.status)
    return html(page.device_login(who.person, user_code, found))


@router.post("/login/device")
async def answer(request: Request, who: Signed) -> Response:
    """Approve or deny the login."""
    form = await form_of(request)
    approve = form.get("answer") == "approve"
    wish = filled(device_login.LoginAnswer, user_code=form.get("user_code", ""), approve=approve)
    try:
        await device_login.answer(request, who, wish)
    except FoundryError as error:
        return html(page.device_login(who.person, wish.user_code, problem=problem(error)), error.status)
    return html(page.device_login(who.person, answered="approved" if approve else "denied"))
