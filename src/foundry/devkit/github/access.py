"""Authentication and permissions of the stand-in's callers."""

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
USER_TOKEN_LIFE = 28_800  # seconds, like user tokens of GitHub Apps
REFRESH_TOKEN_LIFE = 15_897_600  # seconds, about six months
JWT_LIFE = 600  # seconds; maximum lifetime of an App's own token
DRIFT = 60  # seconds that clocks may differ
LEVELS = {"none": 0, "read": 1, "triage": 2, "write": 3, "maintain": 4, "admin": 5}
PUBLIC = {
    "metadata",
    "contents",
    "pull_requests",
    "issues",
}  # permissions that anybody has for reading a public repository
ROLE_FOR = {("issues", "write"): "read"}  # a person with read access may comment; otherwise the level is the role
SUSPENDED = "This installation has been suspended"


@dataclass
class Caller:
    """The identity behind a request's token."""

    kind: str  # app, installation, user, nobody
    key: str  # key of the rate limit budget
    login: str = ""
    installation: int | None = None
    repositories: list[int] | None = None  # None: all of the installation's
    permissions: dict[str, str] = field(default_factory=dict[str, str])
    token: str = ""
    accepted: str = ""  # the permission that the request needed


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
        """Create a person's token and its refresh token, which works once."""
        token, refresh = "ghu_" + secrets.token_hex(18), "ghr_" + secrets.token_hex(38)
        self.store.put("token", token, {"kind": "user", "login": login, "expires": time.time() + USER_TOKEN_LIFE})
        renews = {"login": login, "token": token, "expires": time.time() + REFRESH_TOKEN_LIFE}
        self.store.put("refresh", refresh, renews)
        return {
            "access_token": token, "expires_in": USER_TOKEN_LIFE, "refresh_token": refresh,
            "refresh_token_expires_in": REFRESH_TOKEN_LIFE, "token_type": "bearer", "scope": "",
        }  # fmt: skip

    def refreshed(self, refresh: str) -> Doc | None:
        """Return a new pair and invalidate the old pair. None: the refresh token is unknown, used or too old."""
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
        """Revoke the person's authorization of the App, with all their tokens."""
        for kind in ("token", "refresh"):
            for key in self.store.keys(kind):
                if (self.store.get(kind, key) or {}).get("login") == login:
                    self.store.remove(kind, key)

    def caller(self, authorization: str) -> Caller:
        """Return the caller of an Authorization header: `Bearer T`, `token T`, or Basic with the token as password.

        Raises:
            Refusal: 401 for bad credentials; 403 for a suspended installation.
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
        """Check a JWT. 1. The App's key signed it. 2. It has iat, exp and iss. 3. It lives at most ten minutes."""
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
        """Return a person's role in a repository."""
        if repo["owner"] == login:
            return "admin"
        org = self.store.get("org", repo["owner"])
        if org and org["members"].get(login) == "admin":
            return "admin"
        return repo["access"].get(login, "none" if repo["private"] else "read")

    def installation_on(self, account: str) -> Doc | None:
        return next((i for i in self.store.all("installation") if i["account"] == account), None)

    def covers(self, installation: Doc | None, repo: Doc) -> bool:
        """Return True if the App is installed on this repository."""
        if installation is None or installation["account"] != repo["owner"] or installation["suspended_at"]:
            return False
        chosen = installation.get("repositories")
        return chosen is None or repo["id"] in chosen

    def allowed(self, caller: Caller, repo: Doc, what: str, level: str) -> bool:
        """Return True if the caller has the permission `what` (contents, pull_requests, ...) at `level`.

        Anybody may read a public repository. A person's token allows what both the person and the App may do.
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
        """Return the repository, if the caller has the permission.

        Raises:
            Refusal: 404 if the caller may not see it, 403 if the caller lacks the permission.
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
        """Return the permissions of an installation."""
        return dict((installation or {}).get("permissions") or PERMISSIONS)

    def narrowed(self, installation: Doc, wish: dict[str, str] | None) -> dict[str, str]:
        """Return the permissions of a token that requests some of the installation's.

        Raises:
            Refusal: 422 if it requests more than the installation has.
        """
        granted = self.grants(installation)
        if not wish:
            return granted
        for name, level in wish.items():
            if level not in ("read", "write", "admin") or LEVELS[level] > LEVELS[granted.get(name, "none")]:
                raise Refusal(422, "The permissions requested are not granted to this installation.")
        return {"metadata": "read", **wish}
