"""People, and what GitHub lets them do."""

from __future__ import annotations

from enum import StrEnum

from foundry.contracts.ids import UserId
from foundry.contracts.messages import Model


class Access(StrEnum):
    """What GitHub lets a person do with a repository, weakest first."""

    NONE = "none"
    READ = "read"
    TRIAGE = "triage"
    WRITE = "write"
    MAINTAIN = "maintain"
    ADMIN = "admin"

    @property
    def may_read(self) -> bool:
        return self is not Access.NONE

    @property
    def may_write(self) -> bool:
        return self in (Access.WRITE, Access.MAINTAIN, Access.ADMIN)


class Person(Model):
    """A person as commits, histories and pages name them."""

    id: UserId
    login: str
    name: str = ""
    email: str = ""  # for commits; GitHub's no-reply address where theirs is private
    avatar_url: str = ""
