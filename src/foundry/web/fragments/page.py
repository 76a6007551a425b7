"""What any page may have: the area for a form's response, and the removal of an element."""

from __future__ import annotations

from markupsafe import Markup

from foundry.contracts.github_access import AccessState
from foundry.contracts.organization import OrganizationView
from foundry.web.templating import template


def flash(problem: object = None, offer: object = None, note: str = "") -> Markup:
    """Render the area for a form's response: the reason for a refusal, or empty after success."""
    return template("fragments/flash.html", problem=problem, offer=offer, note=note)


def access(organization: OrganizationView, state: AccessState, reason: str = "") -> Markup:
    """Render why the person may not see all that GitHub lets them see, and what to do.

    Args:
        reason: why Foundry has no token of theirs.
    """
    return template("fragments/access.html", organization=organization, state=state.value, reason=reason)


def gone(element: str) -> Markup:
    """Render the instruction to remove this element from the page."""
    return Markup('<template data-remove="{}"></template>').format(element)
