"""REST for people and organizations: /user, /users, /orgs."""

from __future__ import annotations

from foundry.devkit.github.access import LEVELS, Access
from foundry.devkit.github.asking import Answer, Ask, Listed
from foundry.devkit.github.refusals import NOT_BY_APP, NOT_FOUND, Refusal
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store


class PeopleRoutes:
    """Calls about people and organizations."""

    def __init__(self, store: Store, access: Access, shapes: Shapes) -> None:
        self.store, self.access, self.shapes = store, access, shapes

    def route(self, ask: Ask) -> Answer | None:
        match [ask.method, *ask.path]:
            case [_, "user", *rest]:
                return self._user(ask, rest)
            case ["GET", "users", login, *rest] if found := self.shapes.known(login):
                return self._account(ask, found, rest)
            case ["GET", "orgs", login, *rest]:
                found = self.shapes.known(login)
                if found is None or found["type"] != "Organization":
                    raise Refusal(404, NOT_FOUND)
                return self._org(ask, found, rest)
        return None

    def _user(self, ask: Ask, rest: list[str]) -> Answer:
        caller, login = ask.caller, ask.caller.login
        if caller.kind == "nobody":
            raise Refusal(401, "Requires authentication")
        if caller.kind != "user":
            raise Refusal(403, NOT_BY_APP)
        mine = [o for o in self.store.all("org") if login in o["members"]]
        match [ask.method, *rest]:
            case ["GET"]:
                return 200, self.shapes.user(login)
            case ["GET", "orgs"]:
                return 200, Listed(mine, lambda o: self.shapes.organization(o["login"]))
            case ["GET", "memberships", "orgs"]:
                return 200, Listed(mine, lambda o: self._membership(o, login))
            case ["GET", "memberships", "orgs", org] if found := next((o for o in mine if o["login"] == org), None):
                return 200, self._membership(found, login)
            case ["GET", "installations"]:
                return 200, Listed(self._installations(login), self.shapes.installation, key="installations")
            case ["GET", "installations", number, "repositories"]:
                found = next((i for i in self._installations(login) if str(i["id"]) == number), None)
                if found is None:
                    raise Refusal(404, NOT_FOUND)
                seen = [r for r in self.store.all("repo") if self.access.covers(found, r) and self._sees(login, r)]
                return 200, Listed(seen, lambda r: self.shapes.repo(r, caller), key="repositories")
            case ["GET", "repos"]:
                seen = [r for r in self.store.all("repo") if login in (r["owner"], *r["access"])]
                seen = [r for r in seen if self.access.allowed(caller, r, "metadata", "read")]
                return 200, Listed(seen, lambda r: self.shapes.repo(r, caller))
        raise Refusal(404, NOT_FOUND)

    def _installations(self, login: str) -> list[Doc]:
        """Return the App's installations that a person can access, by account, organizations or repositories."""
        reach = {r["owner"] for r in self.store.all("repo") if login in r["access"]} | {login}
        reach |= {o["login"] for o in self.store.all("org") if login in o["members"]}
        return [i for i in self.store.all("installation") if i["account"] in reach and not i["suspended_at"]]

    def _sees(self, login: str, repo: Doc) -> bool:
        return LEVELS[self.access.role(repo, login)] >= LEVELS["read"]

    def _account(self, ask: Ask, found: Doc, rest: list[str]) -> Answer:
        match rest:
            case []:
                return 200, self.shapes.user(found["login"])
            case ["repos"]:
                return 200, self._repos_of(ask, found["login"])
            case ["orgs"]:
                return 200, []
        raise Refusal(404, NOT_FOUND)

    def _repos_of(self, ask: Ask, login: str) -> Listed:
        seen = [
            r for r in self.store.all("repo")
            if r["owner"] == login and self.access.allowed(ask.caller, r, "metadata", "read")
        ]  # fmt: skip
        return Listed(seen, lambda r: self.shapes.repo(r, ask.caller))

    def _org(self, ask: Ask, org: Doc, rest: list[str]) -> Answer:
        login, inside = org["login"], self._inside(ask, org)
        match rest:
            case []:
                more = {"name": org["name"], "type": "Organization", "html_url": f"{self.shapes.web}/{login}"}
                return 200, self.shapes.organization(login) | more
            case ["repos"]:
                return 200, self._repos_of(ask, login)
            case ["members"]:
                role = ask.query("role", "all")
                shown = [{"login": m} for m, is_ in org["members"].items() if role in ("all", is_) and inside]
                return 200, Listed(shown, lambda m: self.shapes.account(m["login"]))
            case ["members", member]:
                if inside and member in org["members"]:
                    return 204, None
            case ["memberships", member] if inside and member in org["members"]:
                return 200, self._membership(org, member)
        raise Refusal(404, NOT_FOUND)

    def _inside(self, ask: Ask, org: Doc) -> bool:
        """Return True if the caller may see the members. No member is public.

        Raises:
            Refusal: 403 for an installation here without the permission.
        """
        caller = ask.caller
        if caller.kind == "user":
            return caller.login in org["members"]
        if caller.kind == "installation":
            installation = self.store.get("installation", caller.installation)
            here = bool(installation and installation["account"] == org["login"])
            if here and ask.path[2:3] in (["members"], ["memberships"]):
                caller.accepted = "members=read"
                if LEVELS[caller.permissions.get("members", "none")] < LEVELS["read"]:
                    raise Refusal(403, NOT_BY_APP)
            return here
        return False

    def _membership(self, org: Doc, login: str) -> Doc:
        return {
            "url": f"{self.shapes.api}/orgs/{org['login']}/memberships/{login}", "state": "active",
            "role": org["members"][login], "organization_url": f"{self.shapes.api}/orgs/{org['login']}",
            "organization": self.shapes.organization(org["login"]), "user": self.shapes.account(login),
        }  # fmt: skip
