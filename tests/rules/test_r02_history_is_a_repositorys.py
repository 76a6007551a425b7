"""R2: History is scoped to a repository."""

from __future__ import annotations

from pathlib import Path

from foundry.actors.history.tables import history_entries
from foundry.actors.history.views import entries
from foundry.contracts import addresses
from foundry.contracts.ids import RepositoryId
from foundry.contracts.messages import ScopeId
from foundry.contracts.repository import RepositorySeen
from foundry.contracts.task import TaskSeen
from tests.actors.tree import ORG, REPO, TALLY, line, tally_tree
from tests.rules.lookup import naming, owned_by

OTHER = RepositoryId("4009")


async def test_what_happens_in_one_repository_is_not_told_in_another(tmp_path: Path) -> None:
    async with tally_tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        other = TALLY.model_copy(update={"id": OTHER, "name": "abacus"})
        organization = addresses.organization(ORG)
        seen = RepositorySeen(parent=organization, scope=ScopeId(ORG), repository=other)
        await stage.say(seen, to=addresses.repository(OTHER))
        await stage.say(TaskSeen(task=line(1, title="here")), to=addresses.repository(REPO))
        await stage.say(TaskSeen(task=line(2, title="there")), to=addresses.repository(OTHER), sender="tsk_2")
        assert [entry.text for entry in await stage.read(entries, REPO)] == ["Task “here” was created"]
        assert [entry.text for entry in await stage.read(entries, OTHER)] == ["Task “there” was created"]
        assert [entry.number for entry in await stage.read(entries, OTHER)] == [1]


def test_its_key_is_the_repositorys() -> None:
    assert addresses.history(REPO).key == addresses.repository(REPO).key
    assert next(iter(history_entries.primary_key.columns)).name == "repository"
    assert owned_by("History") == {"history_entries"}


def test_a_repository_alone_tells_its_history() -> None:
    senders = {path for path in naming("HistoryEntry") if not path.startswith("actors/history/")}
    assert senders == {"actors/repository/actor.py"}
