"""Roles of people in repositories, from every source: ownership, collaborators, teams, an organization's base permission."""

from __future__ import annotations

from collections.abc import Callable

from foundry.devkit.github.store import Doc, Store

LEVELS = {"none": 0, "read": 1, "triage": 2, "write": 3, "maintain": 4, "admin": 5}


def highest(*roles: str) -> str:
    return max(roles, key=LEVELS.__getitem__, default="none")


class Roles:
    """Roles, computed from the stored accounts, repositories and teams."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def of_person(self, login: str) -> Callable[[Doc], str]:
        """Return a function that computes a person's explicit role in a repository. Use it for many repositories.

        Explicit, as GitHub documents it: they own it, collaborate in it, or reach it by their organization. That
        anybody may read a public repository is not explicit.
        """
        person = self.store.get("user", login)
        orgs = {org["login"]: org for org in self.store.all("org") if login in org["members"]}
        by_team: dict[int, str] = {}
        for team in self.store.all("team"):
            if person and person["id"] in team["members"]:
                for number, given in team["repositories"].items():
                    by_team[int(number)] = highest(given, by_team.get(int(number), "none"))

        def role(repo: Doc) -> str:
            org = orgs.get(repo["owner"])
            if repo["owner"] == login or (org and org["members"][login] == "admin"):
                return "admin"
            base = org.get("base", "none") if org else "none"
            return highest(repo["access"].get(login, "none"), by_team.get(repo["id"], "none"), base)

        return role

    def explicit(self, repo: Doc, login: str) -> str:
        """Return a person's explicit role in one repository."""
        return self.of_person(login)(repo)

    def effective(self, repo: Doc, login: str) -> str:
        """Return a person's role in one repository. Anybody may read a public one."""
        return highest(self.explicit(repo, login), "none" if repo["private"] else "read")
