"""An organization's teams: their members and repositories, each change with the webhook that GitHub sends."""

from __future__ import annotations

import re

from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.refusals import NOT_FOUND, Refusal, invalid
from foundry.devkit.github.settings import Settings
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store


class Teams:
    """Teams. Members are stored by id, repositories by id with the team's role."""

    def __init__(self, store: Store, shapes: Shapes, hooks: Hooks, settings: Settings) -> None:
        self.store, self.shapes, self.hooks, self.settings = store, shapes, hooks, settings

    def of(self, org: Doc) -> list[Doc]:
        return [team for team in self.store.all("team") if team["org"] == org["login"]]

    def get(self, org: Doc, slug: str) -> Doc:
        found = next((team for team in self.of(org) if team["slug"] == slug), None)
        if found is None:
            raise Refusal(404, NOT_FOUND)
        return found

    def create(self, org: Doc, name: str, description: str | None) -> Doc:
        slug = self._slug(org, name)
        number = self.store.next("team") + 6_000
        made = {
            "id": number, "org": org["login"], "name": name, "slug": slug, "description": description, "members": [],
            "repositories": {},
        }  # fmt: skip
        self.store.put("team", number, made)
        self._tell(made, "created")
        return made

    def edit(self, org: Doc, team: Doc, name: str | None, description: str | None) -> None:
        """Change name (and with it the slug) and description."""
        changed, changes = dict(team), dict[str, Doc]()
        if name is not None and name != team["name"]:
            changed |= {"name": name, "slug": self._slug(org, name, unless=team["id"])}
            changes["name"] = {"from": team["name"]}
        if description is not None and description != team["description"]:
            changed["description"] = description
            changes["description"] = {"from": team["description"]}
        if changes:
            self.store.put("team", team["id"], changed)
            self._tell(changed, "edited", more={"changes": changes})

    def delete(self, team: Doc) -> None:
        self.store.remove("team", team["id"])
        self._tell(team, "deleted")

    def set_member(self, org: Doc, team: Doc, login: str, *, member: bool) -> None:
        """Add a member of the organization to the team, or remove them."""
        person = self.store.get("user", login)
        if person is None or login not in org["members"]:
            raise Refusal(404, NOT_FOUND)
        number = person["id"]
        if member == (number in team["members"]):
            return
        team["members"] = [other for other in team["members"] if other != number] + ([number] if member else [])
        self.store.put("team", team["id"], team)
        payload = {"action": "added" if member else "removed", "scope": "team", "member": self.shapes.account(login)}
        self._send("membership", team, payload | {"team": self.shapes.team(team)})

    def set_repository(self, team: Doc, repo: Doc, role: str) -> None:
        """Give the team a role in a repository of its organization, change it, or remove it (`none`)."""
        if repo["owner"] != team["org"]:
            raise Refusal(404, NOT_FOUND)
        key = str(repo["id"])
        before = team["repositories"].get(key, "none")
        if before == role:
            return
        kept = {number: other for number, other in team["repositories"].items() if number != key}
        team["repositories"] = kept | ({key: role} if role != "none" else {})
        self.store.put("team", team["id"], team)
        if before == "none":
            self._send("team_add", team, {"team": self.shapes.team(team)}, repo=repo)
            self._tell(team, "added_to_repository", repo=repo, role=role)
        elif role == "none":
            self._tell(team, "removed_from_repository", repo=repo, role=role)
        else:
            old = self.shapes.permissions(before)
            changes = {"repository": {"permissions": {"from": {name: old[name] for name in ("admin", "pull", "push")}}}}
            self._tell(team, "edited", {"changes": changes}, repo=repo, role=role)

    def _slug(self, org: Doc, name: str, *, unless: int | None = None) -> str:
        slug = re.sub(r"[^\w-]+", "-", name.lower()).strip("-")
        if any(team["slug"] == slug and team["id"] != unless for team in self.of(org)):
            raise invalid("Team", field="name", code="already_exists")
        return slug

    def _tell(
        self, team: Doc, action: str, more: Doc | None = None, *, repo: Doc | None = None, role: str | None = None
    ) -> None:
        payload = {"action": action, "team": self.shapes.team(team)} | (more or {})
        self._send("team", team, payload, repo=repo, role=role)

    def _send(self, event: str, team: Doc, payload: Doc, *, repo: Doc | None = None, role: str | None = None) -> None:
        sender = self.settings.owner(team["org"])
        self.hooks.send(event, payload, account=team["org"], sender=sender, repo=repo, role=role)
