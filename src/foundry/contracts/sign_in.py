"""Who may sign in, and whose installation of the App makes an organization: the server's settings as a value."""

from __future__ import annotations

from foundry.contracts.messages import Model

ANYBODY = "*"


class SignInPolicy(Model):
    """Empty: whoever belongs to an organization that has the App, or pushes to one of its repositories.

    `organizations` (logins or numeric ids) narrows that to these, and no other account's installation counts. `logins`
    (logins or numeric ids) lets these people in, wherever they belong; `*` lets in everybody who has a GitHub account.
    With `logins` alone, nobody else gets in. What has only digits is an id: a login may have only digits too, and
    anybody may register it.
    """

    organizations: list[str] = []
    logins: list[str] = []

    def names(self, person: str, login: str) -> bool:
        """Return True if this person gets in by name or id."""
        return ANYBODY in self.logins or _among(self.logins, person, login)

    def allows(self, organization: str, login: str) -> bool:
        """Return True if belonging to this organization lets people in."""
        return not (self.logins and not self.organizations) and self.installs(organization, login)

    def installs(self, organization: str, login: str) -> bool:
        """Return True if the App may be installed on this account."""
        return not self.organizations or _among(self.organizations, organization, login)


def _among(named: list[str], id: str, login: str) -> bool:
    return id in named or (not login.isdigit() and login.lower() in {one.lower() for one in named})


BY_MEMBERSHIP = SignInPolicy()
