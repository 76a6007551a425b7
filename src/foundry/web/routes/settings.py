"""An organization's settings page."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from foundry.api import settings
from foundry.api.access import see
from foundry.api.auth import Signed
from foundry.api.context import foundry_of
from foundry.api.roles import Deed, require
from foundry.api.sees import Sees
from foundry.web import pages as page
from foundry.web.responses import done, form_of, html
from foundry.web.routes.layout import frame

router = APIRouter()


@router.get("/organizations/{organization}/settings")
async def shown(request: Request, who: Signed, organization: str) -> Response:
    """Show the organization's settings."""

    def look(sees: Sees) -> settings.SettingsView:
        require(sees, Deed.SEE_SETTINGS, organization)
        return settings.settings_of(sees, sees.organization(organization))

    foundry = foundry_of(request)
    found = await see(foundry, who, look)
    github = await settings.github_of(foundry, who, organization)
    around = await frame(request, who, organization, f"/live/organizations/{organization}/frame")
    return html(page.settings(around, found, github))


@router.post("/organizations/{organization}/settings")
async def change(request: Request, who: Signed, organization: str) -> Response:
    """Change the organization's settings."""
    form = await form_of(request)
    shown = form.get("public_work") == "on"
    await settings.set_public_work(foundry_of(request), who, organization, shown=shown)
    return done(request, f"/organizations/{organization}/settings", "Saved.")
