"""Who sends a request to the stand-in."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Caller:
    """The identity behind a request's token."""

    kind: str  # app, installation, user, nobody
    key: str  # key of the rate limit budget
    login: str = ""
    person: int = 0  # a person's id
    sso: list[int] = field(default_factory=list[int])  # organizations that require single sign-on and are reached
    installation: int | None = None
    repositories: list[int] | None = None  # None: all of the installation's
    permissions: dict[str, str] = field(default_factory=dict[str, str])
    token: str = ""
    accepted: str = ""  # the permission that the request needed
