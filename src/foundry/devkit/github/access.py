"""Who asks, what they may do, and how much of their budget is left."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import jwt
from fastapi import Request
from fastapi.responses import JSONResponse, Response

from foundry.devkit.cast import PERMISSIONS
from foundry.devkit.github.store import Doc, Store

DOCS = "https://docs.github.com/rest"
TOKEN_LIFE = 3600  # seconds of an installation token
USER_TOKEN_LIFE = 28_800  # seconds, as GitHub Apps' user tokens have
LEVELS = {"none": 0, "read": 1, "triage": 2, "write": 3, "maintain": 4, "admin": 5}


class Refusal(Exception):
    """An error answer, as GitHub words it."""

    def __init__(
        self, status: int, message: str, errors: list[Doc] | None = None, headers: dict[str, str] | None = None
    ):
        super().__init__(message)
        self.status, self.message, self.errors, self.headers = status, message, errors, headers or {}

    def response(self) -> Response:
        body: Doc = {"message": self.message, "documentation_url": DOCS, "status": str(self.status)}
        if self.errors:
            body["errors"] = self.errors
        return JSONResponse(body, self.status, headers=self.headers)


NOT_FOUND = "Not Found"


@dataclass
class Caller:
    """Who a request's token stands for."""

    kind: str  # app, installation, user, nobody
    key: str  # for the budget
    login: str = ""
    installation: int | None = None
    repositories: list[int] | None = None  # none: all of the installation's
    permissions: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class Budget:
    limit: int
    used: int = 0
    reset: int = 0


class Access:
    """Tokens and budgets."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.limit = 5000
        self._budgets: dict[str, Budget] = {}

    # tokens

    def installation_token(self, installation: int, repositories: list[int] | None, permissions: dict[str, str]) -> Doc:
        token = "ghs_" + secrets.token_hex(18)
        body = {
            "kind": "installation", "installation": installation, "repositories": repositories,
            "permissions": permissions, "expires": time.time() + TOKEN_LIFE,
        }  # fmt: skip
        self.store.put("token", token, body)
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(body["expires"]))
        return {"token": token, "expires_at": expires, "permissions": permissions}

    def user_token(self, login: str) -> Doc:
        token, refresh = "ghu_" + secrets.token_hex(18), "ghr_" + secrets.token_hex(38)
        self.store.put("token", token, {"kind": "user", "login": login, "expires": time.time() + USER_TOKEN_LIFE})
        self.store.put("refresh", refresh, {"login": login})
        return {
            "access_token": token, "expires_in": USER_TOKEN_LIFE, "refresh_token": refresh,
            "refresh_token_expires_in": 15_897_600, "token_type": "bearer", "scope": "",
        }  # fmt: skip

    def caller(self, authorization: str) -> Caller:
        """Who a header stands for.

        Raises:
            Refusal: 401, the credentials are bad.
        """
        if not authorization:
            return Caller("nobody", "nobody")
        _, _, token = authorization.partition(" ")
        if token.count(".") == 2:
            return self._app(token)
        return self.by_token(token)

    def by_token(self, token: str) -> Caller:
        found = self.store.get("token", token)
        if found is None or found["expires"] < time.time():
            raise Refusal(401, "Bad credentials")
        if found["kind"] == "user":
            return Caller("user", f"user:{found['login']}", login=found["login"])
        key = f"installation:{found['installation']}"
        return Caller(
            "installation", key, installation=found["installation"], repositories=found["repositories"],
            permissions=found["permissions"],
        )  # fmt: skip

    def _app(self, token: str) -> Caller:
        app = self.store.app()
        try:
            claims: dict[str, Any] = jwt.decode(
                token, app["public_key"], algorithms=["RS256"], leeway=30, issuer=app["app_id"]
            )
        except jwt.ExpiredSignatureError:
            raise Refusal(
                401,
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
            ) from None
        except jwt.InvalidTokenError:
            raise Refusal(401, "A JSON web token could not be decoded") from None
        if claims["exp"] - time.time() > 660:
            raise Refusal(401, "'Expiration time' claim ('exp') is too far in the future")
        return Caller("app", "app")

    # budget

    def spend(self, caller: Caller, cost: int = 1) -> dict[str, str]:
        """Count a request; gives the headers that say what is left.

        Raises:
            Refusal: 403, nothing is left.
        """
        budget = self._budgets.setdefault(caller.key, Budget(self.limit))
        now = int(time.time())
        if budget.reset <= now:
            budget.used, budget.reset = 0, now + 3600
        budget.limit = 60 if caller.kind == "nobody" else self.limit
        if budget.used + cost > budget.limit:
            headers = self._headers(budget)
            who = f"installation ID {caller.installation}" if caller.installation else f"user {caller.login or 'ID'}"
            raise Refusal(403, f"API rate limit exceeded for {who}.", headers=headers)
        budget.used += cost
        return self._headers(budget)

    def _headers(self, budget: Budget) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(budget.limit),
            "X-RateLimit-Remaining": str(max(0, budget.limit - budget.used)),
            "X-RateLimit-Used": str(budget.used),
            "X-RateLimit-Reset": str(budget.reset),
            "X-RateLimit-Resource": "core",
        }

    def reset(self) -> None:
        self._budgets.clear()

    # permission

    def role(self, repo: Doc, login: str) -> str:
        """A person's role in a repository."""
        if repo["owner"] == login:
            return "admin"
        org = self.store.get("org", repo["owner"])
        if org and org["members"].get(login) == "admin":
            return "admin"
        return repo["access"].get(login, "none" if repo["private"] else "read")

    def allowed(self, caller: Caller, repo: Doc, what: str, level: str) -> bool:
        """Whether the caller has `what` (contents, pull_requests, ...) at `level` in the repository."""
        if caller.kind == "installation":
            installation = self.store.get("installation", caller.installation)
            inside = installation and installation["account"] == repo["owner"] and not installation["suspended_at"]
            listed = caller.repositories is None or repo["id"] in caller.repositories
            return bool(inside) and listed and LEVELS[caller.permissions.get(what, "none")] >= LEVELS[level]
        if caller.kind == "user":
            return LEVELS[self.role(repo, caller.login)] >= LEVELS[level]
        return not repo["private"] and level == "read"

    def need(self, caller: Caller, repo: Doc | None, what: str = "metadata", level: str = "read") -> Doc:
        """The repository, if the caller may.

        Raises:
            Refusal: 404 where it may not be known, 403 where it may not be done.
        """
        if repo is None or not self.allowed(caller, repo, "metadata", "read"):
            raise Refusal(404, NOT_FOUND)
        if not self.allowed(caller, repo, what, level):
            if caller.kind == "installation":
                raise Refusal(403, "Resource not accessible by integration")
            raise Refusal(403, "Must have push access to repository.")
        return repo

    def granted(self, wish: dict[str, str] | None) -> dict[str, str]:
        """The permissions of a token that asks for some of the App's.

        Raises:
            Refusal: 422, it asks for more.
        """
        if not wish:
            return dict(PERMISSIONS)
        for name, level in wish.items():
            if LEVELS.get(level, 9) > LEVELS[PERMISSIONS.get(name, "none")]:
                raise Refusal(422, "The permissions requested are not granted to this installation.")
        return {"metadata": "read", **wish}


def authorization(request: Request) -> str:
    return request.headers.get("authorization", "")
