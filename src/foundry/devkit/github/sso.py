"""SAML single sign-on: organizations that require it, people's sessions, and what their tokens reach without one.

A token reaches the organizations for which its person had a session when it was issued (Reviewable/Reviewable #804,
and GitHub's page "SAML and GitHub Apps"). Only members need a session. Installation tokens are not affected.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable

from foundry.devkit.github.caller import Caller
from foundry.devkit.github.refusals import Refusal
from foundry.devkit.github.store import Doc, Store

PROTECTED = (
    "Resource protected by organization SAML enforcement. You must grant your OAuth token access to this organization."
)
REQUEST_LIFE = 3_600  # seconds that the address in the header works


class Sso:
    """Sessions of people with organizations. `web` is the server's own address."""

    def __init__(self, store: Store, web: str) -> None:
        self.store, self.web = store, web

    def blocks(self, caller: Caller, account: str) -> Doc | None:
        """Return the organization, if the caller's token must not reach it."""
        org = self.store.get("org", account) if caller.kind == "user" else None
        if org is None or not org.get("sso") or caller.login not in org["members"] or org["id"] in caller.sso:
            return None
        return org

    def check(self, caller: Caller, account: str) -> None:
        """Raises Refusal: 403 with the address where the person grants access, if the token must not reach it."""
        if org := self.blocks(caller, account):
            raise Refusal(403, PROTECTED, headers={"X-GitHub-SSO": f"required; url={self.address(caller, org)}"})

    def address(self, caller: Caller, org: Doc) -> str:
        """Return an address that grants the person's tokens access to the organization, for an hour."""
        code = secrets.token_urlsafe(30)
        self.store.put("sso_request", code, {"org": org["id"], "person": caller.person, "made": time.time()})
        return f"{self.web}/orgs/{org['login']}/sso?authorization_request={code}"

    def granted(self, code: str) -> bool:
        """Start the session that this request asks for. False: the request is unknown, used or too old."""
        found = self.store.get("sso_request", code)
        self.store.remove("sso_request", code)
        if found is None or found["made"] + REQUEST_LIFE < time.time():
            return False
        self.begin(found["org"], found["person"], tokens=True)
        return True

    def hidden(self, caller: Caller) -> list[Doc]:
        """Return the organizations that lists across organizations leave out."""
        return [org for org in self.store.all("org") if self.blocks(caller, org["login"])]

    def sessions(self, person: int) -> list[int]:
        """Return the organizations for which a person has a session."""
        return [
            org["id"] for org in self.store.all("org") if self.store.get("sso", f"{org['id']}/{person}") is not None
        ]

    def begin(self, org: int, person: int, *, tokens: bool) -> None:
        """Start a session. With `tokens`, the person's existing tokens reach the organization too."""
        self.store.put("sso", f"{org}/{person}", {})
        if tokens:
            self._tokens(person, lambda reached: [*{*reached, org}])

    def end(self, org: int, person: int) -> None:
        """End a session. The person's tokens no longer reach the organization."""
        self.store.remove("sso", f"{org}/{person}")
        self._tokens(person, lambda reached: [other for other in reached if other != org])

    def _tokens(self, person: int, change: Callable[[list[int]], list[int]]) -> None:
        for kind in ("token", "refresh"):
            for key in self.store.keys(kind):
                found = self.store.get(kind, key)
                if found and found.get("person") == person:
                    self.store.put(kind, key, found | {"sso": change(found["sso"])})
