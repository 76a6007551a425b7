"""The jobs of the task's workflows."""

from __future__ import annotations

from foundry.contracts.ids import SandboxId, TaskId
from foundry.contracts.people import Person, RepositoryRef
from foundry.contracts.words import Word


class Provision(Word):
    task: TaskId


class Inspect(Word):
    sandbox: SandboxId
    base: str


class Publish(Word):
    sandbox: SandboxId
    repository: RepositoryRef
    branch: str
    base: str
    title: str
    body: str
    draft: bool
    by_itself: bool  # after an agent's turn: nothing new is no trouble
    person: Person


class Release(Word):
    sandbox: SandboxId
    base: str
    discard: bool
