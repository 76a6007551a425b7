"""Who asks, and what they may do."""

from __future__ import annotations

import base64
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

import jwt

from foundry.devkit.cast import PERMISSIONS
from foundry.devkit.github.refusals import NOT_BY_APP, NOT_FOUND, Refusal
from foundry.devkit.github.store import Doc, Store

TOKEN_LIFE = 3_600  # seconds of an installation token
USER_TOKEN_LIFE = 28_800  # seconds, as GitHub Apps' user tokens have
REFRESH_TOKEN_LIFE = 15_897_600  # seconds, about six months
JWT_LIFE = 600  # seconds an App's own token may be good for
DRIFT = 60  # seconds by which clocks may differ
LEVELS = {"none": 0, "read": 1, "triage": 2, "write": 3, "maintain": 4, "admin": 5}
PUBLIC = {"metadata", "contents", "pull_requests", "issues"}  # what anybody may read of a public repository
ROLE_FOR = {("issues", "write"): "read"}  # a person who may read may comment; else the level is the role
SUSPENDED = "This installation has been suspended"


@dataclass
class Caller:
    """Who a request's token stands for."""

    kind: str  # app, installation, user, nobody
    key: str  # for the budget
    login: str = ""
    installation: int | None = None
    repositories: list[int] | None = None  # none: all of the installation's
    permissions: dict[str, str] = field(default_factory=dict[str, str])
    token: str = ""
    accepted: str = ""  # the permission that the request turned out to need


class Access:
    """Tokens and permissions."""

    def __init__(self, store: Store) -> None:
        self.store = store

    # tokens

    def installation_token(self, installation: int, repositories: list[int] | None, permissions: dict[str, str]) -> Doc:
        token = "ghs_" + secrets.token_hex(18)
        body = {
            "kind": "installation", "installation": installation, "repositories": repositories,
            "permissions": permissions, "expires": time.time() + TOKEN_LIFE,
        }  # fmt: skip
        self.store.put("token", token, body)
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(body["expires"]))
        selection = "all" if repositories is None else "selected"
        return {"token": token, "expires_at": expires, "permissions": permissions, "repository_selection": selection}

    def user_token(self, login: str) -> Doc:
        """A person's token, and the one that renews it once."""
        token, refresh = "ghu_" + secrets.token_hex(18), "ghr_" + secrets.token_hex(38)
        self.store.put("token", token, {"kind": "user", "login": login, "expires": time.time() + USER_TOKEN_LIFE})
        renews = {"login": login, "token": token, "expires": time.time() + REFRESH_TOKEN_LIFE}
        self.store.put("refresh", refresh, renews)
        return {
            "access_token": token, "expires_in": USER_TOKEN_LIFE, "refresh_token": refresh,
            "refresh_token_expires_in": REFRESH_TOKEN_LIFE, "token_type": "bearer", "scope": "",
        }  # fmt: skip

    def refreshed(self, refresh: str) -> Doc | None:
        """A new pair; the old one, both halves, works no longer. None: unknown, used or too old."""
        found = self.store.get("refresh", refresh)
        if found is None:
            return None
        self.store.remove("refresh", refresh)
        self.store.remove("token", found.get("token", ""))
        if found.get("expires", time.time() + 1) < time.time():
            return None
        return self.user_token(found["login"])

    def revoke(self, token: str) -> None:
        self.store.remove("token", token)

    def sign_out(self, login: str) -> None:
        """The person withdraws the App's authorization: all their tokens end."""
        for kind in ("token", "refresh"):
            for key in self.store.keys(kind):
                if (self.store.get(kind, key) or {}).get("login") == login:
                    self.store.remove(kind, key)

    def caller(self, authorization: str) -> Caller:
        """Who an Authorization header stands for: `Bearer T`, `token T`, or Basic with the token as password.

        Raises:
            Refusal: 401, the credentials are bad; 403, the installation is suspended.
        """
        if not authorization:
            return Caller("nobody", "nobody")
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        if scheme.lower() == "basic":
            try:
                token = base64.b64decode(token).decode().partition(":")[2]
            except ValueError:
                raise Refusal(401, "Bad credentials") from None
        return self._app(token) if token.count(".") == 2 else self._by_token(token)

    def _by_token(self, token: str) -> Caller:
        found = self.store.get("token", token)
        if found is None or found["expires"] < time.time():
            raise Refusal(401, "Bad credentials")
        if found["kind"] == "user":
            return Caller("user", f"user:{found['login']}", login=found["login"], token=token)
        number = found["installation"]
        installation = self.store.get("installation", number)
        if installation is None:
            raise Refusal(401, "Bad credentials")
        if installation["suspended_at"]:
            raise Refusal(403, SUSPENDED)
        return Caller(
            "installation", f"installation:{number}", installation=number, repositories=found["repositories"],
            permissions=found["permissions"], token=token,
        )  # fmt: skip

    def _app(self, token: str) -> Caller:
        """1. Signed by the App's key. 2. With iat, exp and iss. 3. Good for ten minutes at most."""
        app = self.store.app()
        checks: Any = {"verify_exp": False, "verify_iat": False, "verify_sub": False, "verify_iss": False}
        try:
            claims: dict[str, Any] = jwt.decode(token, app["public_key"], algorithms=["RS256"], options=checks)
        except jwt.InvalidTokenError:
            raise Refusal(401, "A JSON web token could not be decoded") from None
        for claim, name in (("iat", "issued at"), ("exp", "expiration time"), ("iss", "issuer")):
            if claim not in claims:
                raise Refusal(401, f"Missing '{name}' claim ('{claim}') in assertion")
        issued, ends, now = claims["iat"], claims["exp"], time.time()
        if not isinstance(issued, int | float) or issued > now + DRIFT:
            raise Refusal(
                401,
                "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued",
            )
        if not isinstance(ends, int | float) or ends <= now:
            raise Refusal(
                401,
                "'Expiration time' claim ('exp') must be a numeric value representing the future time at which the assertion expires",
            )
        if ends - now > JWT_LIFE + DRIFT:
            raise Refusal(401, "'Expiration time' claim ('exp') is too far in the future")
        if str(claims["iss"]) not in (app["app_id"], app["client_id"]):
            raise Refusal(404, "Integration not found")
        return Caller("app", "app")

    # permission

    def role(self, repo: Doc, login: str) -> str:
        """A person's role in a repository."""
        if repo["owner"] == login:
            return "admin"
        org = self.store.get("org", repo["owner"])
        if org and org["members"].get(login) == "admin":
            return "admin"
        return repo["access"].get(login, "none" if repo["private"] else "read")

    def installation_on(self, account: str) -> Doc | None:
        return next((i for i in self.store.all("installation") if i["account"] == account), None)

    def covers(self, installation: Doc | None, repo: Doc) -> bool:
        """Whether the App works in this repository."""
        if installation is None or installation["account"] != repo["owner"] or installation["suspended_at"]:
            return False
        chosen = installation.get("repositories")
        return chosen is None or repo["id"] in chosen

    def allowed(self, caller: Caller, repo: Doc, what: str, level: str) -> bool:
        """Whether the caller has `what` (contents, pull_requests, ...) at `level` in the repository.

        What is public anybody may read. A person's token does what both the person and the App may.
        """
        public = not repo["private"] and level == "read" and what in PUBLIC
        if caller.kind == "installation":
            inside = self.covers(self.store.get("installation", caller.installation), repo)
            listed = caller.repositories is None or repo["id"] in caller.repositories
            granted = LEVELS[caller.permissions.get(what, "none")] >= LEVELS[level]
            return (inside and listed and granted) or public
        if caller.kind == "user":
            installation = self.installation_on(repo["owner"])
            app = (
                self.covers(installation, repo) and LEVELS[self.grants(installation).get(what, "none")] >= LEVELS[level]
            )
            person = LEVELS[self.role(repo, caller.login)] >= LEVELS[ROLE_FOR.get((what, level), level)]
            return (app and person) or public
        return public

    def need(self, caller: Caller, repo: Doc | None, what: str = "metadata", level: str = "read") -> Doc:
        """The repository, if the caller may.

        Raises:
            Refusal: 404 where it may not be known, 403 where it may not be done.
        """
        caller.accepted = f"{what}={level}"
        if repo is None or not self.allowed(caller, repo, "metadata", "read"):
            raise Refusal(404, NOT_FOUND)
        if not self.allowed(caller, repo, what, level):
            if caller.kind == "nobody":
                raise Refusal(401, "Requires authentication")
            if caller.kind == "user" and LEVELS[self.role(repo, caller.login)] < LEVELS[level]:
                raise Refusal(403, f"Must have {'admin rights' if level == 'admin' else 'push access'} to repository.")
            raise Refusal(403, NOT_BY_APP)
        return repo

    def grants(self, installation: Doc | None) -> dict[str, str]:
        """What an installation was granted."""
        return dict((installation or {}).get("permissions") or PERMISSIONS)

    def narrowed(self, installation: Doc, wish: dict[str, str] | None) -> dict[str, str]:
        """The permissions of a token that asks for some of the installation's.

        Raises:
            Refusal: 422, it asks for more.
        """
        granted = self.grants(installation)
        if not wish:
            return granted
        for name, level in wish.items():
            if level not in ("read", "write", "admin") or LEVELS[level] > LEVELS[granted.get(name, "none")]:
                raise Refusal(422, "The permissions requested are not granted to this installation.")
        return {"metadata": "read", **wish}
