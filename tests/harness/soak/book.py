"""The book: what Foundry accepted, written when it had said so. The checks compare Foundry with it afterwards."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Said:
    """A message that was accepted. Its marker stands in its script, and the agent writes a file of that name."""

    marker: str
    session: str
    resent: int = 0
    withdrawn: bool = False
    before_restore: bool = False  # what it did may have been taken back on purpose
    went_unsaved: bool = False  # its sandbox was removed before the work could be saved


@dataclass
class Opened:
    """A task that was accepted."""

    id: str
    marker: str  # its title
    owner: str  # the player's name
    said: list[Said] = field(default_factory=list[Said])
    archived: bool = False
    discarded: bool = False  # its work may be lost: a person said so

    def of(self, session: str) -> list[Said]:
        return [said for said in self.said if said.session == session]


@dataclass
class Book:
    tasks: dict[str, Opened] = field(default_factory=dict[str, Opened])
    commands: Counter[str] = field(default_factory=Counter[str])  # accepted, by what was asked
    refused: Counter[str] = field(default_factory=Counter[str])  # 4xx, by problem code
    never: list[str] = field(default_factory=list[str])  # markers of messages that were refused
    wrong: list[str] = field(default_factory=list[str])  # violations seen on the way

    @property
    def accepted(self) -> int:
        return sum(self.commands.values())
