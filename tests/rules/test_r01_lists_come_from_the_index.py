"""R1: Organization owns the lookup index; lists are read from its projection, never by fanning out to children."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from foundry.actors.organization import views
from foundry.contracts import addresses
from foundry.contracts.ids import OrganizationId
from foundry.contracts.task import TaskSeen
from foundry.runtime.reader import Reader
from tests.actors.tree import ORG, line, tally_tree
from tests.rules.lookup import SRC, Watched, edge, imports, owned_by

LISTS: list[Callable[[Reader, OrganizationId], object]] = [views.task_list, views.repository_list, views.issues]


@pytest.mark.parametrize("view", LISTS, ids=lambda v: v.__name__)
async def test_a_list_is_one_read_of_the_organizations_own_tables(
    tmp_path: Path, view: Callable[[Reader, OrganizationId], object]
) -> None:
    async with tally_tree(f"sqlite:///{tmp_path}/foundry.db") as stage:

        def look(reader: Reader) -> Watched:
            watched = Watched(reader)
            view(watched, ORG)
            return watched

        watched = await stage.read(look)
        assert watched.reads == 1
        assert watched.tables
        assert watched.tables <= owned_by("Organization")


async def test_a_list_needs_no_child(tmp_path: Path) -> None:
    """The tasks of this list do not even exist as actors; what they told the organization is enough."""
    async with tally_tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        await stage.say(TaskSeen(task=line(1)), TaskSeen(task=line(2)), to=addresses.organization(ORG))
        assert [task.id for task in await stage.read(views.task_list, ORG)] == ["tsk_2", "tsk_1"]


def test_the_edge_knows_views_and_no_tables() -> None:
    for path in edge():
        tables = [name for name in imports(path) if name.startswith("foundry.actors.") and ".tables" in name]
        assert tables == [], f"{path.relative_to(SRC)} reads tables past the views: {tables}"


def test_an_actors_views_read_its_own_tables_alone() -> None:
    for path in (SRC / "actors").glob("*/views.py"):
        foreign = [
            name
            for name in imports(path)
            if name.startswith("foundry.actors.")
            and ".tables" in name
            and not name.startswith(f"foundry.actors.{path.parent.name}.")
        ]
        assert foreign == [], f"{path.relative_to(SRC)} reads {foreign}"
