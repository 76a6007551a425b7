"""What each role may do: one table, in code and in docs/security.md. A test compares them.

Roles are GitHub's: owner, member and collaborator of an organization. What belongs to one repository follows GitHub's
right to it (`foundry.api.sees.Sees`). The admin is whoever has the server's admin token.
"""

from __future__ import annotations

from enum import StrEnum

from foundry.api.sees import Sees
from foundry.contracts.errors import Forbidden
from foundry.contracts.github_access import Role
from foundry.contracts.ids import OrganizationId


class Deed(StrEnum):
    """Something that a role decides."""

    SEE_SETTINGS = "see the organization's settings and GitHub budget"
    CHANGE_SETTINGS = "change the organization's settings"
    SEE_ISSUES = "see the organization's own runtime issues"
    CLEAR_ISSUES = "clear, retry or drop the organization's own runtime issues"
    SEE_SERVER_ISSUES = "see the server's runtime issues"
    CLEAR_SERVER_ISSUES = "clear, retry or drop the server's runtime issues"


OWNER, MEMBER, COLLABORATOR = Role.OWNER, Role.MEMBER, Role.COLLABORATOR

MAY: dict[Deed, frozenset[Role]] = {
    Deed.SEE_SETTINGS: frozenset({OWNER, MEMBER}),
    Deed.CHANGE_SETTINGS: frozenset({OWNER}),
    Deed.SEE_ISSUES: frozenset({OWNER, MEMBER}),
    Deed.CLEAR_ISSUES: frozenset({OWNER, MEMBER}),
    Deed.SEE_SERVER_ISSUES: frozenset({OWNER, MEMBER}),
    Deed.CLEAR_SERVER_ISSUES: frozenset({OWNER}),
}
"""The server's issues belong to no organization: a role in any of them counts."""

OF_SERVER = {Deed.SEE_SERVER_ISSUES, Deed.CLEAR_SERVER_ISSUES}
ADMIN_MAY = OF_SERVER
"""What the admin token may do whatever the person is that it acts as."""


def allowed(sees: Sees, deed: Deed, organization: str | None = None) -> bool:
    """Return True if the person may do this in the organization, or on the server."""
    if sees.me.admin and deed in ADMIN_MAY:
        return True
    if deed in OF_SERVER:
        return sees.role_on_server() in MAY[deed]
    return organization is not None and sees.role(OrganizationId(organization)) in MAY[deed]


def require(sees: Sees, deed: Deed, organization: str) -> None:
    """Require a role.

    Raises:
        NotFound: the person may not even see the organization.
        Forbidden: the person's role does not allow it.
    """
    view = sees.organization(organization)
    if not allowed(sees, deed, organization):
        roles = " and ".join(f"{role}s" for role in sorted(MAY[deed]))
        detail = f"only {roles} of {view.login} may {deed}"
        raise Forbidden(detail, field="organization", remedy="Ask an owner of the organization on GitHub.")
