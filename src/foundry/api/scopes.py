"""What a request needs, from its method and its route. The one place where that is decided.

`credential_of` puts it into the credential, and `me_of` refuses a credential that does not have it. So no route can
forget the check. A route that is not named here needs `read` if it is safe, else `write`.
"""

from __future__ import annotations

from enum import StrEnum

from starlette.types import Scope as Connection

from foundry.api.errors import BrowserNeeded, ScopeMissing
from foundry.contracts.app_shell import Scope, Via

SAFE = ("GET", "HEAD", "OPTIONS")


class Need(StrEnum):
    """What a request needs of its credential."""

    READ = "read"
    WRITE = "write"
    APPROVE = "approve"
    BROWSER = "browser"  # a browser's app session: it is about sessions and tokens themselves
    NOTHING = "nothing"  # any valid credential


APPROVES = {
    ("POST", "/api/sessions/{session}/permissions/{permission}"),
    ("POST", "/sessions/{session}/permissions/{permission}"),
}
BROWSER_ONLY = ("/api/me/", "/api/login/device/answer", "/settings/", "/login/device")  # changes below these paths
OWN_TOKEN = ("DELETE", "/api/me/tokens/current")  # a token may revoke itself


def needed(method: str, path: str) -> Need:
    """Return what a request needs.

    Args:
        path: of the route, with the names of its parameters.
    """
    if method in SAFE:
        return Need.READ
    if (method, path) == OWN_TOKEN:
        return Need.NOTHING
    if path.startswith(BROWSER_ONLY):
        return Need.BROWSER
    return Need.APPROVE if (method, path) in APPROVES else Need.WRITE


def needed_by(connection: Connection) -> Need:
    """The same, for a request whose route is already known. One without a route reaches nothing."""
    return needed(connection["method"], getattr(connection.get("route"), "path", ""))


def check(need: Need, via: Via, scopes: frozenset[Scope]) -> None:
    """Require what the request needs.

    Raises:
        BrowserNeeded: it needs a browser's app session.
        ScopeMissing: the API token lacks the scope.
    """
    if need is Need.BROWSER and via is not Via.BROWSER:
        raise BrowserNeeded("sessions and API tokens are managed in a signed-in browser", field="Authorization")
    if need not in (Need.BROWSER, Need.NOTHING) and need.value not in scopes:
        raise ScopeMissing(f"this needs an API token with the scope {need.value}", field="Authorization")
