"""Control for tests, second part: people, their tokens, organizations, single sign-on, teams, callers' budgets.

Each route changes what somebody would change on GitHub's pages, and sends the webhooks that GitHub sends. Creating with
`many`, and everything about tokens, single sign-on, base permissions and budgets, sends none.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from foundry.devkit.github.budget import Budgets
from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.people import People
from foundry.devkit.github.refusals import NOT_FOUND, Refusal
from foundry.devkit.github.settings import Settings
from foundry.devkit.github.sso import Sso
from foundry.devkit.github.store import Doc, Store
from foundry.devkit.github.teams import Teams
from foundry.devkit.github.tokens import REFRESH_TOKEN_LIFE, USER_TOKEN_LIFE, Tokens

Role = Literal["none", "read", "triage", "write", "maintain", "admin"]
Base = Literal["none", "read", "write", "admin"]


class NewPerson(BaseModel):
    login: str
    name: str = ""


class Renamed(BaseModel):
    login: str


class Expired(BaseModel):
    access: bool = False
    refresh: bool = False


class TokenLives(BaseModel):
    expiring: bool = True  # False: an App that has opted out; no refresh token, and no expires_in
    access: int = USER_TOKEN_LIFE  # seconds
    refresh: int = REFRESH_TOKEN_LIFE  # seconds


class NewOrganization(BaseModel):
    login: str
    name: str = ""
    members: dict[str, Literal["member", "admin"]] = {}
    base: Base = "read"  # as GitHub has it for a new organization
    installed: bool = False  # install the App, for all repositories


class ChangedOrganization(BaseModel):
    base: Base | None = None
    sso: bool | None = None


class Many(BaseModel):
    count: int
    private: bool = True
    prefix: str = "many"
    access: dict[str, Role] = {}


class Joined(BaseModel):
    role: Literal["none", "member", "admin"]


class Session(BaseModel):
    active: bool
    tokens: bool = True  # the tokens that the person already has reach the organization too; GitHub: only newer ones


class NewTeam(BaseModel):
    name: str
    description: str | None = None
    members: list[str] = []  # logins
    repositories: dict[int, Role] = {}


class ChangedTeam(BaseModel):
    name: str | None = None
    description: str | None = None


class Belongs(BaseModel):
    member: bool


class TeamRole(BaseModel):
    role: Role


class Left(BaseModel):
    remaining: int
    reset_in: int | None = None  # seconds; None: unchanged


class PeopleControl:
    """The routes. Each does one thing and returns 204, or the created object."""

    def __init__(
        self,
        store: Store,
        tokens: Tokens,
        sso: Sso,
        budgets: Budgets,
        hooks: Hooks,
        settings: Settings,
        people: People,
        teams: Teams,
    ) -> None:
        self.store, self.tokens, self.sso, self.budgets, self.hooks = store, tokens, sso, budgets, hooks
        self.settings, self.people, self.teams = settings, people, teams
        self.router = APIRouter(prefix="/_devkit", default_response_class=Response)
        org, team = "/organizations/{org}", "/organizations/{org}/teams/{slug}"
        for path, method, handler in (
            ("/people", "POST", self.create_person),
            ("/people/{login}", "PATCH", self.rename_person),
            ("/people/{login}/authorization", "DELETE", self.sign_out),
            ("/people/{login}/expired", "POST", self.expire),
            ("/token-lives", "PUT", self.token_lives),
            ("/organizations", "POST", self.create_organization),
            (org, "PATCH", self.change_organization),
            (f"{org}/many", "PUT", self.create_many),
            (f"{org}/members/{{login}}", "PUT", self.join),
            (f"{org}/sessions/{{login}}", "PUT", self.session),
            (f"{org}/teams", "POST", self.create_team),
            (team, "PATCH", self.change_team),
            (team, "DELETE", self.delete_team),
            (f"{team}/members/{{login}}", "PUT", self.team_member),
            (f"{team}/repositories/{{number}}", "PUT", self.team_repository),
            ("/requests", "GET", self.requests),
            ("/requests", "DELETE", self.forget_requests),
            ("/budgets/{caller}", "PUT", self.budget),
        ):
            self.router.add_api_route(path, handler, methods=[method], response_model=None, include_in_schema=False)

    def _found(self, kind: str, key: object) -> Doc:
        found = self.store.get(kind, key)
        if found is None:
            raise Refusal(404, NOT_FOUND)
        return found

    # people and their tokens

    async def create_person(self, wish: NewPerson) -> Response:
        return JSONResponse(self.people.create(wish.login, wish.name or wish.login), 201)

    async def rename_person(self, login: str, wish: Renamed) -> Response:
        """Change a person's login. Afterwards, somebody else may be created with the old one."""
        self.people.rename(self._found("user", login), wish.login)
        return _done()

    async def sign_out(self, login: str) -> Response:
        """Revoke the person's authorization of the App."""
        self.tokens.sign_out(self._found("user", login)["id"])
        self.hooks.signed_out(login)
        return _done()

    async def expire(self, login: str, wish: Expired) -> Response:
        """Let the person's access tokens, refresh tokens or both expire now."""
        person = self._found("user", login)["id"]
        for kind, wanted in (("token", wish.access), ("refresh", wish.refresh)):
            if wanted:
                self.tokens.expire(person, kind)
        return _done()

    async def token_lives(self, wish: TokenLives) -> Response:
        """Set the lifetimes of people's tokens that are issued from now on. An empty body: as on GitHub."""
        self.tokens.configure(expiring=wish.expiring, access=wish.access, refresh=wish.refresh)
        return _done()

    # organizations

    async def create_organization(self, wish: NewOrganization) -> Response:
        members = {login: str(role) for login, role in wish.members.items()}
        made = self.people.create_organization(wish.login, wish.name or wish.login, members, wish.base)
        installation = self.settings.install(wish.login)["id"] if wish.installed else None
        return JSONResponse(made | {"installation": installation}, 201)

    async def change_organization(self, org: str, wish: ChangedOrganization) -> Response:
        """Change the base permission, or whether single sign-on is required."""
        self.people.change_organization(self._found("org", org), wish.base, wish.sso)
        return _done()

    async def create_many(self, org: str, wish: Many) -> Response:
        """Create many repositories cheaply. Returns their ids."""
        owner, access = self._found("org", org)["login"], {login: str(role) for login, role in wish.access.items()}
        made = self.settings.create_many(owner, wish.count, private=wish.private, prefix=wish.prefix, access=access)
        return JSONResponse({"ids": made}, 201)

    async def join(self, org: str, login: str, wish: Joined) -> Response:
        self.people.join(self._found("org", org), login, wish.role)
        return _done()

    async def session(self, org: str, login: str, wish: Session) -> Response:
        """Start or end a person's single sign-on session with the organization."""
        organization, person = self._found("org", org)["id"], self._found("user", login)["id"]
        if wish.active:
            self.sso.begin(organization, person, tokens=wish.tokens)
        else:
            self.sso.end(organization, person)
        return _done()

    # teams

    async def create_team(self, org: str, wish: NewTeam) -> Response:
        """Create a team, then add its members and repositories one by one."""
        owner = self._found("org", org)
        made = self.teams.create(owner, wish.name, wish.description)
        for login in wish.members:
            self.teams.set_member(owner, self.teams.get(owner, made["slug"]), login, member=True)
        for number, role in wish.repositories.items():
            self.teams.set_repository(self.teams.get(owner, made["slug"]), self._found("repo", number), role)
        return JSONResponse(self.teams.get(owner, made["slug"]), 201)

    async def change_team(self, org: str, slug: str, wish: ChangedTeam) -> Response:
        owner = self._found("org", org)
        self.teams.edit(owner, self.teams.get(owner, slug), wish.name, wish.description)
        return _done()

    async def delete_team(self, org: str, slug: str) -> Response:
        self.teams.delete(self.teams.get(self._found("org", org), slug))
        return _done()

    async def team_member(self, org: str, slug: str, login: str, wish: Belongs) -> Response:
        owner = self._found("org", org)
        self.teams.set_member(owner, self.teams.get(owner, slug), login, member=wish.member)
        return _done()

    async def team_repository(self, org: str, slug: str, number: int, wish: TeamRole) -> Response:
        team = self.teams.get(self._found("org", org), slug)
        self.teams.set_repository(team, self._found("repo", number), wish.role)
        return _done()

    # callers

    async def requests(self) -> Response:
        """Return the API requests since the last reset, by caller: `app`, `installation:N`, `user:ID`, `nobody`."""
        return JSONResponse(self.budgets.requests())

    async def forget_requests(self) -> Response:
        self.budgets.counts.clear()
        return _done()

    async def budget(self, caller: str, wish: Left) -> Response:
        """Set what a caller has left of its budget in this window."""
        self.budgets.leave(caller, wish.remaining, reset_in=wish.reset_in)
        return _done()


def _done() -> Response:
    return Response(status_code=204)
