"""R3: Repository coordinates a repository and owns the repo-local indexes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from foundry.actors.repository.tables import repository_branches, repository_tasks
from foundry.contracts import addresses
from foundry.contracts.ids import RepositoryId, TaskId
from foundry.contracts.messages import ScopeId
from foundry.contracts.repository import RepositorySeen, ReserveBranch
from foundry.runtime.store.base import Opened
from foundry.runtime.turn import Turn
from tests.actors.tree import ORG, REPO, TALLY, tally_tree
from tests.rules.lookup import metadata, owned_by

OTHER = RepositoryId("4009")


async def test_two_repositories_reserve_the_same_name(tmp_path: Path) -> None:
    async with tally_tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        other = TALLY.model_copy(update={"id": OTHER, "name": "abacus"})
        await stage.say(RepositorySeen(scope=ScopeId(ORG), repository=other), to=addresses.repository(OTHER))
        for repository, task in ((REPO, "tsk_1"), (OTHER, "tsk_2")):
            wish = ReserveBranch(task=TaskId(task), wanted="fix", exact=True)
            assert await stage.ask(addresses.repository(repository), wish) == "fix"


def test_the_indexes_belong_to_the_repository() -> None:
    assert {"repository_branches", "repository_tasks"} <= owned_by("Repository")
    for table in owned_by("Repository"):
        assert next(iter(metadata.tables[table].columns)).name == "repository"


@pytest.mark.parametrize("table", [repository_branches, repository_tasks], ids=lambda t: t.name)
@pytest.mark.parametrize("kind", ["Task", "Organization", "GitHubState"])
def test_nobody_else_can_write_them(kind: str, table: Any) -> None:
    opened = Opened(exists=True, deleted=False, scope=ORG, seq=0, version=0, ask=None)
    turn = Turn(cast(Any, SimpleNamespace(now=0)), addresses.Address(kind, "x"), opened, lambda prefix, now: prefix)
    with pytest.raises(TypeError, match="does not own"):
        turn.insert(table, branch="x")
    with pytest.raises(TypeError, match="does not own"):
        turn.find(table)
