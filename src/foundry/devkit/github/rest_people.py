"""REST for people and organizations: /user, /users, /orgs."""

from __future__ import annotations

from foundry.devkit.github.access import Access
from foundry.devkit.github.asking import Answer, Ask, Listed
from foundry.devkit.github.refusals import NOT_BY_APP, NOT_FOUND, Refusal, invalid
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store


class PeopleRoutes:
    """Calls about people and organizations."""

    def __init__(self, store: Store, access: Access, shapes: Shapes) -> None:
        self.store, self.access, self.shapes = store, access, shapes

    def route(self, ask: Ask) -> Answer | None:
        match [ask.method, *ask.path]:
            case ["GET", "user", number] if number.isdigit():
                return 200, self._profile(ask, self.shapes.by_id(int(number)))
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
        match [ask.method, *rest]:
            case ["GET"]:
                return 200, self.shapes.user(login)
            case ["GET", "orgs"]:
                return 200, Listed(self._organizations(ask), lambda o: self.shapes.organization(o["login"]))
            case ["GET", "memberships", "orgs"]:
                return 200, Listed(self._organizations(ask), lambda o: self._membership(o, login))
            case ["GET", "memberships", "orgs", name]:
                org = self.shapes.known(name) or {}
                if login in org.get("members", ()):
                    self.access.sso.check(caller, org["login"])
                    return 200, self._membership(org, login)
            case ["GET", "installations"]:
                hidden = {org["login"] for org in ask.hidden(self.access.sso)}
                seen = [i for i in self._installations(login) if i["account"] not in hidden]
                return 200, Listed(seen, self.shapes.installation, key="installations")
            case ["GET", "installations", number, "repositories"]:
                return 200, self._reached(ask, number)
            case ["GET", "repos"]:
                hidden, role = {org["login"] for org in ask.hidden(self.access.sso)}, self.access.roles.of_person(login)
                seen = [r for r in self.store.all("repo") if role(r) != "none" and r["owner"] not in hidden]
                seen = [r for r in seen if self.access.allowed(caller, r, "metadata", "read")]
                return 200, Listed(seen, lambda r: self.shapes.repo(r, caller))
        raise Refusal(404, NOT_FOUND)

    def _profile(self, ask: Ask, found: Doc | None) -> Doc:
        """Return a public profile. Only who is signed in sees the e-mail address."""
        if found is None:
            raise Refusal(404, NOT_FOUND)
        return self.shapes.user(found["login"]) | ({"email": None} if ask.caller.kind == "nobody" else {})

    def _organizations(self, ask: Ask) -> list[Doc]:
        """Return the person's organizations, without those that require single sign-on first."""
        hidden = {org["login"] for org in ask.hidden(self.access.sso)}
        return [o for o in self.store.all("org") if ask.caller.login in o["members"] and o["login"] not in hidden]

    def _installations(self, login: str) -> list[Doc]:
        """Return the App's installations that a person has explicit permission to access.

        By their account, by their organizations, or by a repository where they collaborate and the App is installed.
        """
        reach = {login} | {org["login"] for org in self.store.all("org") if login in org["members"]}
        found = [i for i in self.store.all("installation") if not i["suspended_at"]]
        return [
            i for i in found
            if i["account"] in reach or any(login in repo["access"] for repo in self.access.inside(i))
        ]  # fmt: skip

    def _reached(self, ask: Ask, number: str) -> Listed:
        """Return the repositories of an installation in which the person has an explicit role, with that role."""
        login = ask.caller.login
        found = next((i for i in self._installations(login) if str(i["id"]) == number), None)
        if found is None:
            raise Refusal(404, NOT_FOUND)
        self.access.sso.check(ask.caller, found["account"])
        role = self.access.roles.of_person(login)
        seen = [repo for repo in self.access.inside(found) if role(repo) != "none"]

        def show(repo: Doc) -> Doc:
            mine = role(repo)
            return self.shapes.repo(repo) | {"permissions": self.shapes.permissions(mine), "role_name": mine}

        selection = "all" if found["repositories"] is None else "selected"
        return Listed(seen, show, key="repositories", more={"repository_selection": selection})

    def _account(self, ask: Ask, found: Doc, rest: list[str]) -> Answer:
        match rest:
            case []:
                return 200, self._profile(ask, found)
            case ["repos"]:
                return 200, self._repos_of(ask, found["login"])
            case ["orgs"]:
                return 200, []
        raise Refusal(404, NOT_FOUND)

    def _repos_of(self, ask: Ask, login: str) -> Listed:
        self.access.sso.check(ask.caller, login)
        seen = [
            r for r in self.store.all("repo")
            if r["owner"] == login and self.access.allowed(ask.caller, r, "metadata", "read")
        ]  # fmt: skip
        return Listed(seen, lambda r: self.shapes.repo(r, ask.caller))

    def _org(self, ask: Ask, org: Doc, rest: list[str]) -> Answer:
        login = org["login"]
        self.access.sso.check(ask.caller, login)
        inside = rest[:1] in (["members"], ["memberships"]) and self.access.inside_organization(ask.caller, org)
        match rest:
            case []:
                return 200, self.shapes.organization(login) | self._details(ask, org)
            case ["repos"]:
                return 200, self._repos_of(ask, login)
            case ["members"]:
                role = ask.query("role", "all")
                if role not in ("all", "admin", "member"):
                    raise invalid("OrganizationMember", field="role")
                shown = [{"login": m} for m, is_ in org["members"].items() if role in ("all", is_) and inside]
                return 200, Listed(shown, lambda m: self.shapes.account(m["login"]))
            case ["members", member]:
                if inside and member in org["members"]:
                    return 204, None
            case ["memberships", member] if inside and member in org["members"]:
                return 200, self._membership(org, member)
        raise Refusal(404, NOT_FOUND)

    def _details(self, ask: Ask, org: Doc) -> Doc:
        """Return an organization's other values. Its owners also see the base permission."""
        more = {"name": org["name"], "type": "Organization", "html_url": f"{self.shapes.web}/{org['login']}"}
        if ask.caller.kind == "user" and org["members"].get(ask.caller.login) == "admin":
            more["default_repository_permission"] = org.get("base", "none")
        return more

    def _membership(self, org: Doc, login: str) -> Doc:
        return {
            "url": f"{self.shapes.api}/orgs/{org['login']}/memberships/{login}", "state": "active",
            "role": org["members"][login], "direct_membership": True, "organization_url": f"{self.shapes.api}/orgs/{org['login']}",
            "organization": self.shapes.organization(org["login"]), "user": self.shapes.account(login),
        }  # fmt: skip
