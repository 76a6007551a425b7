"""An organization's settings, and how Foundry stands with GitHub there. Its owners on GitHub change settings."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter, Request

from foundry.actors.github_state.views import github_state
from foundry.api.access import answer, see
from foundry.api.auth import Me, Signed
from foundry.api.bodies import Body
from foundry.api.context import Foundry, foundry_of
from foundry.api.roles import Deed, allowed, require
from foundry.api.sees import Sees
from foundry.contracts import addresses
from foundry.contracts.github_access import FLOOR, Role
from foundry.contracts.github_payloads import GitHubBudget
from foundry.contracts.github_state import GitHubStateView
from foundry.contracts.ids import OrganizationId
from foundry.contracts.messages import Model
from foundry.contracts.organization import OrganizationView, SetPublicWork

router = APIRouter(prefix="/api/organizations/{organization}", tags=["organizations"])


class SettingsView(Model):
    """What the organization's owners decide, and what the person may do about it."""

    role: Role
    may_change: bool
    public_work: bool


class NewSettings(Body):
    public_work: bool


class Budget(Model):
    """The App's requests to GitHub in this hour, as GitHub last reported them to this server."""

    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None
    floor: int | None = None  # below this many, Foundry asks nothing about people's access with the App's budget


class GitHubView(Model):
    """How Foundry stands with GitHub in this organization."""

    state: GitHubStateView
    budget: Budget


@router.get("/settings")
async def shown(request: Request, organization: str) -> SettingsView:
    """Get the organization's settings."""

    def look(sees: Sees) -> SettingsView:
        require(sees, Deed.SEE_SETTINGS, organization)
        return settings_of(sees, sees.organization(organization))

    return await answer(request, look)


@router.put("/settings")
async def change(request: Request, who: Signed, organization: str, wish: NewSettings) -> SettingsView:
    """Change the organization's settings. Its owners may."""
    return await set_public_work(foundry_of(request), who, organization, shown=wish.public_work)


@router.get("/github")
async def github(request: Request, who: Signed, organization: str) -> GitHubView:
    """Get when Foundry last read everything from GitHub, and the App's request budget."""
    return await github_of(foundry_of(request), who, organization)


# also used by the pages


def settings_of(sees: Sees, organization: OrganizationView) -> SettingsView:
    return SettingsView(
        role=sees.role(organization.id),
        may_change=allowed(sees, Deed.CHANGE_SETTINGS, organization.id),
        public_work=organization.public_work,
    )


async def set_public_work(foundry: Foundry, who: Me, organization: str, *, shown: bool) -> SettingsView:
    """Show the work on public repositories to whoever may sign in, or to the organization's people alone.

    Raises:
        Forbidden: the person is not an owner.
    """
    await see(foundry, who, lambda sees: require(sees, Deed.CHANGE_SETTINGS, organization))
    await foundry.runtime.ask(addresses.organization(OrganizationId(organization)), SetPublicWork(shown=shown))
    return await see(foundry, who, lambda sees: settings_of(sees, sees.organization(organization)))


async def github_of(foundry: Foundry, who: Me, organization: str) -> GitHubView:
    """Return how Foundry stands with GitHub there, for its members."""

    def look(sees: Sees) -> GitHubStateView:
        require(sees, Deed.SEE_SETTINGS, organization)
        return github_state(sees.reader, OrganizationId(organization))

    state = await see(foundry, who, look)
    return GitHubView(state=state, budget=_budget(await foundry.asker.budget(OrganizationId(organization))))


def _budget(known: GitHubBudget | None) -> Budget:
    if known is None or known.limit is None:
        return Budget()
    floor = round(known.limit * FLOOR)
    return Budget(limit=known.limit, remaining=known.remaining, reset_at=known.reset_at, floor=floor)
