"""Authentication and permissions of the stand-in's callers."""

from __future__ import annotations

import base64
import secrets
import time
from typing import Any

import jwt

from foundry.devkit.cast import PERMISSIONS
from foundry.devkit.github.caller import Caller
from foundry.devkit.github.refusals import NOT_BY_APP, NOT_FOUND, Refusal
from foundry.devkit.github.roles import LEVELS, Roles
from foundry.devkit.github.sso import Sso
from foundry.devkit.github.store import Doc, Store

TOKEN_LIFE = 3_600  # seconds of an installation token
JWT_LIFE = 600  # seconds; maximum lifetime of an App's own token
DRIFT = 60  # seconds that clocks may differ
PUBLIC = {
    "metadata",
    "contents",
    "pull_requests",
    "issues",
}  # permissions that anybody has for reading a public repository
ROLE_FOR = {("issues", "write"): "read"}  # a person with read access may comment; otherwise the level is the role
SUSPENDED = "This installation has been suspended"
READ_ONLY = "Repository was archived so is read-only."


class Access:
    """Tokens and permissions."""

    def __init__(self, store: Store, sso: Sso) -> None:
        self.store, self.sso, self.roles = store, sso, Roles(store)

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
        if found is None or (found["expires"] is not None and found["expires"] < time.time()):
            raise Refusal(401, "Bad credentials")
        if found["kind"] == "user":
            return self._person(token, found)
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

    def _person(self, token: str, found: Doc) -> Caller:
        person = next((user for user in self.store.all("user") if user["id"] == found.get("person")), None)
        if person is None:
            raise Refusal(401, "Bad credentials")
        number = person["id"]
        return Caller("user", f"user:{number}", login=person["login"], person=number, sso=found["sso"], token=token)

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
        return self.roles.effective(repo, login)

    def installation_on(self, account: str) -> Doc | None:
        return next((i for i in self.store.all("installation") if i["account"] == account), None)

    def covers(self, installation: Doc | None, repo: Doc) -> bool:
        """Return True if the App is installed on this repository."""
        if installation is None or installation["account"] != repo["owner"] or installation["suspended_at"]:
            return False
        chosen = installation.get("repositories")
        return chosen is None or repo["id"] in chosen

    def inside(self, installation: Doc) -> list[Doc]:
        """Return all repositories that the App is installed on."""
        chosen = installation.get("repositories")
        some = None if chosen is None else set(chosen)
        if installation["suspended_at"]:
            return []
        return [
            repo for repo in self.store.all("repo")
            if repo["owner"] == installation["account"] and (some is None or repo["id"] in some)
        ]  # fmt: skip

    def inside_organization(self, caller: Caller, org: Doc) -> bool:
        """Return True if the caller may see the organization's members and teams. None of them is public.

        Raises:
            Refusal: 403 for an installation here without the permission, and for a member without single sign-on.
        """
        self.sso.check(caller, org["login"])
        if caller.kind == "user":
            return caller.login in org["members"]
        if caller.kind != "installation":
            return False
        installation = self.store.get("installation", caller.installation)
        if not installation or installation["account"] != org["login"]:
            return False
        caller.accepted = "members=read"
        if LEVELS[caller.permissions.get("members", "none")] < LEVELS["read"]:
            raise Refusal(403, NOT_BY_APP)
        return True

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
            Refusal: 404 if the caller may not see it; 403 if the caller lacks the permission or single sign-on, or the
                repository is archived.
        """
        caller.accepted = f"{what}={level}"
        if repo is None or not self.allowed(caller, repo, "metadata", "read"):
            raise Refusal(404, NOT_FOUND)
        self.sso.check(caller, repo["owner"])
        if not self.allowed(caller, repo, what, level):
            if caller.kind == "nobody":
                raise Refusal(401, "Requires authentication")
            if caller.kind == "user" and LEVELS[self.role(repo, caller.login)] < LEVELS[level]:
                raise Refusal(403, f"Must have {'admin rights' if level == 'admin' else 'push access'} to repository.")
            raise Refusal(403, NOT_BY_APP)
        if level != "read":
            self.writable(repo)
        return repo

    def writable(self, repo: Doc) -> None:
        """Raises Refusal: 403, the repository is archived."""
        if repo.get("archived"):
            raise Refusal(403, READ_ONLY)

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
