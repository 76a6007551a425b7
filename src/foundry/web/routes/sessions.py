"""Actions on a session: send a message, stop, resume, answer a permission request."""

from __future__ import annotations

import secrets

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from foundry.api import access, sessions
from foundry.api.auth import Signed
from foundry.api.problems import problem
from foundry.contracts.errors import FoundryError
from foundry.web import fragments
from foundry.web import pages as page
from foundry.web.responses import by_script, done, filled, form_of, html

router = APIRouter(prefix="/sessions/{session}")


@router.get("")
async def shown(request: Request, who: Signed, session: str) -> Response:
    """Redirect to the session on its task's page."""
    found = await access.session_of(request, who, session)
    return RedirectResponse(_there(found.task, session), 303)


def _there(task: str, session: str) -> str:
    return f"/tasks/{task}?session={session}"


@router.post("/messages")
async def send(request: Request, who: Signed, session: str) -> Response:
    """Send a message. Returns an empty message box, or after a refusal the box with the typed text and the reason."""
    form = await form_of(request)
    text, key = form.get("text", ""), form.get("key") or secrets.token_urlsafe(16)
    try:
        wish = filled(sessions.NewMessage, text=text)
        view = await sessions.send(request, Response(), who, session, wish, key)
    except FoundryError as error:
        # Keep the key only if the message may have arrived: a refusal is stored under its key.
        again, refusal = key if error.status >= 500 else secrets.token_urlsafe(16), problem(error)
        if by_script(request):
            return html(fragments.session.composer(session, again, text, refusal, focus=True), error.status)
        return html(page.problem(who.person, refusal, f"/sessions/{session}"), error.status)
    if by_script(request):
        return html(fragments.session.composer(session, secrets.token_urlsafe(16), focus=True))
    return RedirectResponse(_there(view.task, session), 303)


@router.post("/stop")
async def stop(request: Request, who: Signed, session: str) -> Response:
    """Stop the running prompt."""
    await sessions.stop(request, who, session)
    return done(request, f"/sessions/{session}")


@router.post("/resume")
async def resume(request: Request, who: Signed, session: str) -> Response:
    """Start the agent again and connect to it."""
    await sessions.resume(request, who, session)
    return done(request, f"/sessions/{session}")


@router.post("/messages/{message}/resend")
async def resend(request: Request, who: Signed, session: str, message: str) -> Response:
    """Queue a message again after it failed or may have been sent."""
    await sessions.resend(request, who, session, message)
    return done(request, f"/sessions/{session}")


@router.post("/messages/{message}/withdraw")
async def withdraw(request: Request, who: Signed, session: str, message: str) -> Response:
    """Withdraw a message that the agent does not have."""
    await sessions.withdraw(request, who, session, message)
    return done(request, f"/sessions/{session}")


@router.post("/permissions/{permission}")
async def answer(request: Request, who: Signed, session: str, permission: str) -> Response:
    """Answer the agent's permission request with one of its options."""
    form = await form_of(request)
    await sessions.answer(request, who, session, permission, filled(sessions.Answer, option=form.get("option", "")))
    return done(request, f"/sessions/{session}")
