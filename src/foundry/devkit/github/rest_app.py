"""REST for the App itself: /app, its installations, their tokens, and the deliveries of its webhook."""

from __future__ import annotations

from foundry.devkit.github.access import SUSPENDED, Access
from foundry.devkit.github.asking import Answer, Ask, Listed
from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.refusals import NOT_BY_APP, NOT_FOUND, Refusal
from foundry.devkit.github.repos import Repositories
from foundry.devkit.github.settings import Settings
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store

ITEM = (
    "id", "guid", "delivered_at", "redelivery", "duration", "status", "status_code", "event", "action",
    "installation_id", "repository_id", "throttled_at",
)  # fmt: skip
OUTSIDE = "There is at least one repository that does not exist or is not accessible to the parent installation."


class AppRoutes:
    """Calls with the App's own token, and the revocation of installation tokens."""

    def __init__(
        self, store: Store, access: Access, repos: Repositories, shapes: Shapes, hooks: Hooks, settings: Settings
    ) -> None:
        self.store, self.access, self.repos, self.shapes = store, access, repos, shapes
        self.hooks, self.settings = hooks, settings

    def route(self, ask: Ask) -> Answer | None:
        match [ask.method, *ask.path]:
            case [_, "app", *rest]:
                return self._app(ask, rest)
            case ["GET", "orgs" | "users", login, "installation"]:
                return self._installation_on(ask, login)
            case ["GET", "repos", owner, name, "installation"]:
                repo = self.repos.find(owner, name)
                return self._installation_on(ask, owner, repo)
            case ["GET", "installation", "repositories"]:
                return self._repositories(ask)
            case ["DELETE", "installation", "token"]:
                if ask.caller.kind != "installation":
                    raise Refusal(
                        401 if ask.caller.kind == "nobody" else 403,
                        "Requires authentication" if ask.caller.kind == "nobody" else NOT_BY_APP,
                    )
                self.store.remove("token", ask.caller.token)
                return 204, None
            case ["GET", "apps", slug] if slug == self.shapes.app()["slug"]:
                return 200, self.shapes.app()
        return None

    def _as_app(self, ask: Ask) -> None:
        if ask.caller.kind != "app":
            raise Refusal(401, "A JSON web token could not be decoded")

    def _app(self, ask: Ask, rest: list[str]) -> Answer:
        self._as_app(ask)
        match [ask.method, *rest]:
            case ["GET"]:
                return 200, self.shapes.app()
            case ["GET", "installations"]:
                return 200, Listed(self.store.all("installation"), self.shapes.installation)
            case [_, "installations", number, *more]:
                found = self.store.get("installation", number)
                if found is None:
                    raise Refusal(404, NOT_FOUND)
                return self._installation(ask, found, more)
            case [_, "hook", *more]:
                return self._hook(ask, more)
        raise Refusal(404, NOT_FOUND)

    def _installation(self, ask: Ask, found: Doc, more: list[str]) -> Answer:
        match [ask.method, *more]:
            case ["GET"]:
                return 200, self.shapes.installation(found)
            case ["DELETE"]:
                self.settings.uninstall(found)
                return 204, None
            case ["PUT", "suspended"]:
                self.settings.suspend(found)
                return 204, None
            case ["DELETE", "suspended"]:
                self.settings.unsuspend(found)
                return 204, None
            case ["POST", "access_tokens"]:
                return 201, self._token(found, ask.body)
        raise Refusal(404, NOT_FOUND)

    def _token(self, installation: Doc, wish: Doc) -> Doc:
        """Create a token for some of the installation's repositories (by name or id) and permissions."""
        if installation["suspended_at"]:
            raise Refusal(403, SUSPENDED)
        inside = self.access.inside(installation)
        names, numbers = wish.get("repositories"), wish.get("repository_ids")
        chosen: list[Doc] | None = None
        if names is not None or numbers is not None:
            chosen = [r for r in inside if r["name"] in (names or ()) or r["id"] in (numbers or ())]
            if len(chosen) < len({*(names or ()), *(numbers or ())}):
                raise Refusal(422, OUTSIDE)
        permissions = self.access.narrowed(installation, wish.get("permissions"))
        made = self.access.installation_token(
            installation["id"], None if chosen is None else [r["id"] for r in chosen], permissions
        )
        return made | ({} if chosen is None else {"repositories": [self.shapes.repo(r) for r in chosen]})

    def _installation_on(self, ask: Ask, login: str, repo: Doc | None = None) -> Answer:
        self._as_app(ask)
        account = self.shapes.known(login)
        found = self.access.installation_on(account["login"]) if account else None
        if found is None or ("repos" in ask.path[:1] and (repo is None or not self.access.covers(found, repo))):
            raise Refusal(404, NOT_FOUND)
        return 200, self.shapes.installation(found)

    def _repositories(self, ask: Ask) -> Answer:
        if ask.caller.kind != "installation":
            raise Refusal(401 if ask.caller.kind in ("nobody", "app") else 403, NOT_BY_APP)
        installation, limit = self.store.get("installation", ask.caller.installation), ask.caller.repositories
        inside = [] if installation is None else self.access.inside(installation)
        inside = inside if limit is None else [repo for repo in inside if repo["id"] in limit]
        return 200, Listed(inside, self.shapes.repo, key="repositories")

    def _hook(self, ask: Ask, more: list[str]) -> Answer:
        match [ask.method, *more]:
            case ["GET", "config"]:
                return 200, self._config()
            case ["PATCH", "config"]:
                if "url" in ask.body:
                    self.hooks.aim(ask.body["url"])
                return 200, self._config()
            case ["GET", "deliveries"]:
                return 200, Listed(self.store.all("delivery")[::-1], delivery_item, cursor="id")
            case ["GET", "deliveries", number] if found := self.store.get("delivery", number):
                return 200, delivery_whole(found)
            case ["POST", "deliveries", number, "attempts"] if found := self.store.get("delivery", number):
                self.hooks.redeliver(found)
                return 202, {}
        raise Refusal(404, NOT_FOUND)

    def _config(self) -> Doc:
        return {"content_type": "json", "insecure_ssl": "0", "secret": "********", "url": self.hooks.target or ""}


def delivery_item(delivery: Doc) -> Doc:
    """Return a delivery in the form of the list."""
    return {key: delivery.get(key) for key in ITEM}


def delivery_whole(delivery: Doc) -> Doc:
    return delivery_item(delivery) | {
        "url": delivery.get("url"),
        "request": {"headers": delivery.get("request_headers", {}), "payload": delivery["payload"]},
        "response": delivery.get("response") or {"headers": {}, "payload": ""},
    }
