"""Changes of people, organizations and memberships, each with the webhook that GitHub sends."""

from __future__ import annotations

from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.refusals import NOT_FOUND, Refusal, invalid
from foundry.devkit.github.settings import Settings
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store


class People:
    """People, organizations, and who belongs to which."""

    def __init__(self, store: Store, shapes: Shapes, hooks: Hooks, settings: Settings) -> None:
        self.store, self.shapes, self.hooks, self.settings = store, shapes, hooks, settings

    # people

    def create(self, login: str, name: str) -> Doc:
        """Create a person with a new id. The login may be one that somebody else has given up."""
        self._free(login)
        number = self.store.next("person") + 1_100
        email = f"{number}+{login}@users.noreply.github.test"
        return self.store.put(
            "user", login, {"id": number, "login": login, "name": name, "email": email, "type": "User"}
        )

    def rename(self, person: Doc, login: str) -> None:
        """Change a person's login. The id stays, and with it tokens, memberships, roles, and what they have written.

        GitHub sends `installation_target` if the App is installed on the person's own account, and nothing else.
        """
        self._free(login, unless=person["id"])
        old = person["login"]
        if old == login:
            return
        with self.store.transaction():
            self.store.rekey("user", old, login)
            email = f"{person['id']}+{login}@users.noreply.github.test"
            self.store.put("user", login, person | {"login": login, "email": email})
            self._rename_everywhere(old, login)
        changes = {"login": {"from": old}}
        payload = {"action": "renamed", "account": self.shapes.user(login), "changes": changes, "target_type": "User"}
        self.hooks.send("installation_target", payload, account=login, sender=login)

    def _rename_everywhere(self, old: str, new: str) -> None:
        """Replace the login in every document that has it. What has the id needs no change."""
        for repo in self.store.all("repo"):
            changed = repo | {"access": _renamed(repo["access"], old, new)}
            if repo["owner"] == old:
                changed["owner"] = new
                self.store.put("moved", f"{old}/{repo['name']}".lower(), {"repo": repo["id"]})
            if changed != repo:
                self.store.put("repo", repo["id"], changed)
        for org in self.store.all("org"):
            self.store.put("org", org["login"], org | {"members": _renamed(org["members"], old, new)})
        for kind, fields in (("installation", ("account",)), ("comment", ("user",)), ("renaming", ("by",))):
            self._rename_in(kind, fields, old, new)
        self._rename_in("pull", ("user", "merged_by"), old, new)
        for key in self.store.keys("pull"):
            pull = self.store.get("pull", key) or {}
            changed = pull | {"reviewers": [new if login == old else login for login in pull.get("reviewers", [])]}
            if pull.get("merging", {}).get("by") == old:
                changed["merging"] = pull["merging"] | {"by": new}
            if changed != pull:
                self.store.put("pull", key, changed)

    def _rename_in(self, kind: str, fields: tuple[str, ...], old: str, new: str) -> None:
        for key in self.store.keys(kind):
            found = self.store.get(kind, key) or {}
            if any(found.get(field) == old for field in fields):
                self.store.put(kind, key, found | {f: new for f in fields if found.get(f) == old})

    def _free(self, login: str, *, unless: int | None = None) -> None:
        known = self.shapes.known(login)
        if known and known["id"] != unless:
            raise invalid("User", field="login", code="already_exists")

    # organizations

    def create_organization(self, login: str, name: str, members: dict[str, str], base: str) -> Doc:
        """Create an organization. `base` is its base permission, which all members have in all its repositories."""
        self._free(login)
        for member in members:
            self._person(member)
        number = self.store.next("organization") + 2_100
        body = {
            "id": number, "login": login, "name": name, "type": "Organization", "members": members, "base": base,
            "sso": False,
        }  # fmt: skip
        return self.store.put("org", login, body)

    def change_organization(self, org: Doc, base: str | None, sso: bool | None) -> None:
        """Change the base permission, or require single sign-on. GitHub sends no event for either."""
        changed = org | ({} if base is None else {"base": base}) | ({} if sso is None else {"sso": sso})
        self.store.put("org", org["login"], changed)

    def join(self, org: Doc, login: str, role: str) -> None:
        """Make a person a member of the organization (`member`, `admin`), or remove them (`none`).

        Who leaves also loses their teams and their access to the organization's repositories, as GitHub documents.
        """
        person = self._person(login)
        before = org["members"].get(login)
        org["members"] = {k: v for k, v in org["members"].items() if k != login} | (
            {login: role} if role != "none" else {}
        )
        with self.store.transaction():
            self.store.put("org", org["login"], org)
            if before and role == "none":
                self._leave(org, person)
        if (before is None) == (role == "none"):
            return  # GitHub sends no event for a changed role
        member = {
            "url": f"{self.shapes.api}/orgs/{org['login']}/memberships/{login}", "state": "active",
            "role": role if role != "none" else before, "user": self.shapes.account(login),
            "organization_url": f"{self.shapes.api}/orgs/{org['login']}",
        }  # fmt: skip
        payload = {"action": "member_removed" if role == "none" else "member_added", "membership": member}
        self.hooks.send("organization", payload, account=org["login"], sender=self.settings.owner(org["login"]))

    def _leave(self, org: Doc, person: Doc) -> None:
        for team in self.store.all("team"):
            if team["org"] == org["login"] and person["id"] in team["members"]:
                kept = [number for number in team["members"] if number != person["id"]]
                self.store.put("team", team["id"], team | {"members": kept})
        for repo in self.store.all("repo"):
            if repo["owner"] == org["login"] and person["login"] in repo["access"]:
                kept = {login: role for login, role in repo["access"].items() if login != person["login"]}
                self.store.put("repo", repo["id"], repo | {"access": kept})

    def _person(self, login: str) -> Doc:
        found = self.store.get("user", login)
        if found is None:
            raise Refusal(404, NOT_FOUND)
        return found


def _renamed(by_login: dict[str, str], old: str, new: str) -> dict[str, str]:
    return {new if login == old else login: value for login, value in by_login.items()}
