"""REST for an organization's teams: /orgs/{org}/teams and /user/teams."""

from __future__ import annotations

from foundry.devkit.github.access import Access
from foundry.devkit.github.asking import Answer, Ask, Listed
from foundry.devkit.github.refusals import NOT_BY_APP, NOT_FOUND, Refusal
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store
from foundry.devkit.github.teams import Teams


class TeamRoutes:
    """Calls about teams. The organization's members see them, and Apps with the permission `members`."""

    def __init__(self, store: Store, access: Access, shapes: Shapes, teams: Teams) -> None:
        self.store, self.access, self.shapes, self.teams = store, access, shapes, teams

    def route(self, ask: Ask) -> Answer | None:
        match [ask.method, *ask.path]:
            case ["GET", "user", "teams"] if ask.caller.kind == "user":
                return 200, Listed(self._mine(ask), self.shapes.team_whole)
            case ["GET", "orgs", login, "teams", *rest] if org := self.shapes.known(login):
                if org["type"] == "Organization":
                    return self._org(ask, org, rest)
        return None

    def _mine(self, ask: Ask) -> list[Doc]:
        hidden = {org["login"] for org in ask.hidden(self.access.sso)}
        return [t for t in self.store.all("team") if ask.caller.person in t["members"] and t["org"] not in hidden]

    def _org(self, ask: Ask, org: Doc, rest: list[str]) -> Answer:
        if not self.access.inside_organization(ask.caller, org):
            raise Refusal(404, NOT_FOUND) if rest else Refusal(403, NOT_BY_APP)
        match rest:
            case []:
                return 200, Listed(self.teams.of(org), self.shapes.team)
            case [slug]:
                return 200, self.shapes.team_whole(self.teams.get(org, slug))
            case [slug, "members"]:
                members = self.teams.get(org, slug)["members"]
                people = [user for user in self.store.all("user") if user["id"] in members]
                return 200, Listed(people, self._member)
            case [slug, "repos"]:
                team = self.teams.get(org, slug)
                inside = [repo for repo in self.store.all("repo") if str(repo["id"]) in team["repositories"]]
                seen = [repo for repo in inside if self.access.allowed(ask.caller, repo, "metadata", "read")]
                return 200, Listed(seen, lambda repo: self._repository(team, repo))
        raise Refusal(404, NOT_FOUND)

    def _member(self, user: Doc) -> Doc:
        return self.shapes.account(user["login"]) | {"role": "member", "inherited": False}

    def _repository(self, team: Doc, repo: Doc) -> Doc:
        """Return a repository with the team's role."""
        role = team["repositories"][str(repo["id"])]
        return self.shapes.repo(repo) | {"permissions": self.shapes.permissions(role), "role_name": role}
