"""Who may sign in (DESIGN section 6): whoever belongs to an organization that has the App, or pushes to one of its
repositories. Settings narrow or widen that: allowed organizations, allowed logins.
"""

from __future__ import annotations

import asyncio

from foundry.actors.github_state.access_views import WRITABLE
from foundry.api.access import PAUSE, see
from foundry.api.auth import Me
from foundry.api.context import Foundry
from foundry.api.sees import Sees
from foundry.contracts import addresses
from foundry.contracts.errors import FoundryError, Unavailable
from foundry.contracts.github_access import Role
from foundry.contracts.organization import OrganizationView
from foundry.contracts.people import Person
from foundry.contracts.sign_in import SignInPolicy
from foundry.contracts.user_github_data import ForgetTokens


class SignInRefused(FoundryError, code="sign_in_refused", status=403):
    """This person may not sign in here."""

    remedy = "Ask an owner of your organization to install the GitHub App there, or ask the server's administrator."


async def admit(foundry: Foundry, person: Person, *, known: bool) -> None:
    """Let the person in. Of somebody who is refused, forget the tokens; of a stranger, everything.

    Args:
        known: they were let in before. While GitHub does not answer, their new tokens are kept: their other app
            sessions use them, and the old tokens are gone.

    Raises:
        SignInRefused: the policy does not let them in.
        GitHubUnavailable: GitHub does not say where they belong.
        Unavailable: Foundry has not read an installation that they may use.
    """
    policy, me = foundry.sign_in_policy, Me(person)
    if policy.names(person.id, person.login):
        return
    try:
        if not await _belongs(foundry, me, policy):
            raise SignInRefused(_why(person, policy))
    except FoundryError as error:
        if not known or not error.transient:
            forget = ForgetTokens(stranger=not known)
            await foundry.runtime.ask(addresses.user_github_data(person.id), forget)
        raise


async def _belongs(foundry: Foundry, me: Me, policy: SignInPolicy) -> bool:
    """Wait until Foundry has read the installations that the person may use: it may have started a moment ago."""
    loop = asyncio.get_running_loop()
    limit = loop.time() + foundry.first_sync
    while True:
        let_in, whole = await see(foundry, me, lambda sees: (belongs(sees, policy), sees.knows_all_installations()))
        if let_in or whole:
            return let_in
        if loop.time() > limit:
            remedy = "Try again in a moment."
            raise Unavailable("Foundry is still reading from GitHub where the App is installed", remedy=remedy)
        await asyncio.sleep(PAUSE)


def belongs(sees: Sees, policy: SignInPolicy) -> bool:
    """Return True if the person belongs to an allowed organization, or pushes to one of its repositories."""
    return any(_counts(sees, one) for one in sees.organizations() if policy.allows(one.id, one.login))


def _counts(sees: Sees, organization: OrganizationView) -> bool:
    known = sees.access_in(organization.id)
    if known is None:
        return False
    if known.role in (Role.OWNER, Role.MEMBER):
        return True
    return sees.reader.first(WRITABLE.limit(1), known.values) is not None


def _why(person: Person, policy: SignInPolicy) -> str:
    if policy.organizations:
        return f"{person.login} belongs to none of: {', '.join(policy.organizations)}"
    if policy.logins:
        return f"{person.login} is not among the people who may sign in here"
    return f"{person.login} belongs to no organization that has the GitHub App, and cannot push to a repository of one"
