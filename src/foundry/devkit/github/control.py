"""Control for tests: `/_devkit/`. Nothing here exists on GitHub. control_people.py has the routes about people.

A restart resets faults, limits, holding and dropping, but not the owners' changes.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from foundry.devkit.github.branches import Branches
from foundry.devkit.github.budget import REQUESTS, WINDOW, Budgets
from foundry.devkit.github.faults import Fault, Faults
from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.refusals import NOT_FOUND, Refusal
from foundry.devkit.github.settings import Settings
from foundry.devkit.github.store import Doc, Store

Role = Literal["none", "read", "triage", "write", "maintain", "admin"]


class Webhook(BaseModel):
    url: str | None


class Held(BaseModel):
    held: bool


class Dropped(BaseModel):
    dropped: bool


class RateLimit(BaseModel):
    limit: int = REQUESTS
    window: int = WINDOW  # seconds
    status: Literal[403, 429] = 403
    retry_after: int | None = None  # seconds


class Delay(BaseModel):
    seconds: float


class Given(BaseModel):
    role: Role


class NewRepository(BaseModel):
    owner: str
    name: str
    private: bool = True
    files: dict[str, str] = {}
    access: dict[str, Role] = {}


class Changed(BaseModel):
    name: str | None = None
    owner: str | None = None
    private: bool | None = None
    archived: bool | None = None


class NewInstallation(BaseModel):
    account: str


class Installed(BaseModel):
    suspended: bool | None = None
    permissions: dict[str, str] | None = None
    repositories: list[int] | Literal["all"] | None = None


class Control:
    """The routes. Each does one thing and returns 204, or the created object."""

    def __init__(
        self,
        store: Store,
        budgets: Budgets,
        faults: Faults,
        hooks: Hooks,
        branches: Branches,
        settings: Settings,
    ) -> None:
        self.store, self.budgets, self.faults = store, budgets, faults
        self.hooks, self.branches, self.settings = hooks, branches, settings
        self.router = APIRouter(prefix="/_devkit", default_response_class=Response)
        for path, method, handler in (
            ("/health", "GET", self.health),
            ("/webhook", "PUT", self.webhook),
            ("/webhook/pings", "POST", self.ping),
            ("/webhooks-held", "PUT", self.held),
            ("/webhooks-dropped", "PUT", self.dropped),
            ("/deliveries", "GET", self.deliveries),
            ("/rate-limit", "PUT", self.rate_limit),
            ("/faults", "POST", self.fault),
            ("/faults", "GET", self.open_faults),
            ("/faults", "DELETE", self.no_faults),
            ("/rename-delay", "PUT", self.rename_delay),
            ("/repositories", "POST", self.create),
            ("/repositories/{number}", "PATCH", self.change),
            ("/repositories/{number}", "DELETE", self.delete),
            ("/repositories/{number}/access/{login}", "PUT", self.give_access),
            ("/installations", "POST", self.install),
            ("/installations/{number}", "PATCH", self.installed),
            ("/installations/{number}", "DELETE", self.uninstall),
        ):
            self.router.add_api_route(path, handler, methods=[method], response_model=None, include_in_schema=False)

    async def health(self) -> Response:
        return JSONResponse({"ok": True})

    # webhooks

    async def webhook(self, wish: Webhook) -> Response:
        """Set the address for deliveries; null: none."""
        self.hooks.aim(wish.url)
        return _done()

    async def ping(self) -> Response:
        self.hooks.ping()
        return _done()

    async def held(self, wish: Held) -> Response:
        """Hold deliveries, in order, until they are released."""
        self.hooks.hold(wish.held)
        return _done()

    async def dropped(self, wish: Dropped) -> Response:
        """Make deliveries fail as if nobody listened. They are recorded and can be redelivered."""
        self.hooks.dropping = wish.dropped
        return _done()

    async def deliveries(self) -> Response:
        """Return all deliveries with their payloads, the oldest first."""
        return JSONResponse(self.store.all("delivery"))

    # faults

    async def rate_limit(self, wish: RateLimit) -> Response:
        self.budgets.set(wish.limit, window=wish.window, status=wish.status, retry_after=wish.retry_after)
        return _done()

    async def fault(self, wish: Fault) -> Response:
        self.faults.open.append(wish)
        return _done()

    async def open_faults(self) -> Response:
        return JSONResponse([fault.model_dump() for fault in self.faults.open])

    async def no_faults(self) -> Response:
        self.faults.open.clear()
        return _done()

    async def rename_delay(self, wish: Delay) -> Response:
        """Set how long the effects of a branch's rename take."""
        self.branches.rename_delay = wish.seconds
        return _done()

    # the owners' changes

    def _found(self, kind: str, key: object) -> Doc:
        found = self.store.get(kind, key)
        if found is None:
            raise Refusal(404, NOT_FOUND)
        return found

    async def create(self, wish: NewRepository) -> Response:
        access = {login: str(role) for login, role in wish.access.items()}
        made = self.settings.create(wish.owner, wish.name, private=wish.private, files=wish.files, access=access)
        return JSONResponse(made, 201)

    async def change(self, number: int, wish: Changed) -> Response:
        """Rename a repository, transfer it, make it private or public, archive or unarchive it."""
        repo = self._found("repo", number)
        if wish.name is not None:
            self.settings.rename(repo, wish.name)
        if wish.owner is not None:
            self.settings.transfer(repo, wish.owner)
        if wish.private is not None:
            self.settings.publish(repo, private=wish.private)
        if wish.archived is not None:
            self.settings.archive(repo, archived=wish.archived)
        return _done()

    async def delete(self, number: int) -> Response:
        self.settings.delete(self._found("repo", number))
        return _done()

    async def give_access(self, number: int, login: str, wish: Given) -> Response:
        self.settings.give_access(self._found("repo", number), login, wish.role)
        return _done()

    async def install(self, wish: NewInstallation) -> Response:
        return JSONResponse(self.settings.install(wish.account), 201)

    async def installed(self, number: int, wish: Installed) -> Response:
        """Suspend or unsuspend an installation, change its permissions, or choose its repositories (or "all")."""
        if wish.suspended is not None:
            change = self.settings.suspend if wish.suspended else self.settings.unsuspend
            change(self._found("installation", number))
        if wish.permissions is not None:
            self.settings.permit(self._found("installation", number), wish.permissions)
        if wish.repositories is not None:
            chosen = None if wish.repositories == "all" else wish.repositories
            self.settings.choose(self._found("installation", number), chosen)
        return _done()

    async def uninstall(self, number: int) -> Response:
        self.settings.uninstall(self._found("installation", number))
        return _done()


def _done() -> Response:
    return Response(status_code=204)
