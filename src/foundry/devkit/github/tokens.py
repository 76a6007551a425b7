"""People's tokens: access tokens, and refresh tokens that work once. They belong to a person's id, not to a login."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator

from foundry.devkit.github.sso import Sso
from foundry.devkit.github.store import Doc, Store

USER_TOKEN_LIFE = 28_800  # seconds, like user tokens of GitHub Apps
REFRESH_TOKEN_LIFE = 15_897_600  # seconds, about six months


class Tokens:
    """The tokens of people who have authorized the App."""

    def __init__(self, store: Store, sso: Sso) -> None:
        self.store, self.sso = store, sso

    def configure(self, *, expiring: bool, access: int, refresh: int) -> None:
        """Set the lifetimes (seconds) of tokens issued from now on. Not expiring: an App that has opted out."""
        self.store.put("setting", "tokens", {"expiring": expiring, "access": access, "refresh": refresh})

    def issue(self, person: int, sso: list[int] | None = None) -> Doc:
        """Create a person's token. If the App's tokens expire, it has a refresh token.

        Args:
            sso: organizations that the token reaches although they require single sign-on. None: those for which the
                person has a session.
        """
        lives = self.store.get("setting", "tokens") or {}
        access, refresh = lives.get("access", USER_TOKEN_LIFE), lives.get("refresh", REFRESH_TOKEN_LIFE)
        token, renewal, now = "ghu_" + secrets.token_hex(18), "ghr_" + secrets.token_hex(38), time.time()
        body: Doc = {"kind": "user", "person": person, "sso": self.sso.sessions(person) if sso is None else sso}
        if not lives.get("expiring", True):
            self.store.put("token", token, body | {"expires": None})
            return {"access_token": token, "token_type": "bearer", "scope": ""}
        with self.store.transaction():
            self.store.put("token", token, body | {"expires": now + access})
            self.store.put("refresh", renewal, body | {"token": token, "expires": now + refresh})
        return {
            "access_token": token, "expires_in": access, "refresh_token": renewal, "refresh_token_expires_in": refresh,
            "token_type": "bearer", "scope": "",
        }  # fmt: skip

    def refreshed(self, refresh: str) -> Doc | None:
        """Return a new pair and invalidate the old pair. None: the refresh token is unknown, used or too old."""
        found = self.store.get("refresh", refresh)
        self.store.remove("refresh", refresh)
        if found is None or found["expires"] < time.time():
            return None
        self.store.remove("token", found["token"])
        return self.issue(found["person"], found["sso"])

    def sign_out(self, person: int) -> None:
        """Revoke the person's authorization of the App, with all their tokens."""
        for kind in ("token", "refresh"):
            for key, _ in list(self._of(person, kind)):
                self.store.remove(kind, key)

    def expire(self, person: int, kind: str) -> None:
        """Let a person's access tokens (`token`) or refresh tokens (`refresh`) expire now."""
        for key, found in list(self._of(person, kind)):
            self.store.put(kind, key, found | {"expires": 0})

    def adopt(self) -> None:
        """Give tokens that an earlier version stored by login to the person who has the login."""
        for kind in ("token", "refresh"):
            for key in self.store.keys(kind):
                found = self.store.get(kind, key) or {}
                if login := found.get("login"):
                    person = (self.store.get("user", login) or {"id": 0})["id"]
                    kept = {name: value for name, value in found.items() if name != "login"}
                    self.store.put(kind, key, kept | {"person": person, "sso": []})

    def _of(self, person: int, kind: str) -> Iterator[tuple[str, Doc]]:
        for key in self.store.keys(kind):
            found = self.store.get(kind, key)
            if found and found.get("person") == person:
                yield key, found
