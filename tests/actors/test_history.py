"""History: an append-only feed, read page by page."""

from __future__ import annotations

from pathlib import Path

from foundry.actors.history.tables import history_entries
from foundry.actors.history.views import entries
from foundry.contracts import addresses
from foundry.contracts.ids import RepositoryId
from foundry.contracts.task import TaskSeen
from tests.actors.tree import REPO, line, tally_tree


async def test_the_feed_is_read_backwards_in_pages(store_url: str) -> None:
    async with tally_tree(store_url) as stage:
        for number in range(1, 8):
            await stage.say(TaskSeen(task=line(number)), to=addresses.repository(REPO), sender=f"tsk_{number}")
        first = await stage.read(entries, REPO, None, 3)
        assert [entry.number for entry in first] == [7, 6, 5]
        second = await stage.read(entries, REPO, first[-1].number, 3)
        assert [entry.number for entry in second] == [4, 3, 2]
        assert [entry.number for entry in await stage.read(entries, REPO, 2, 3)] == [1]
        assert await stage.read(entries, RepositoryId("999")) == []


def test_nothing_in_the_package_changes_or_removes_an_entry() -> None:
    import foundry.actors.history.actor as actor

    source = Path(actor.__file__).read_text()
    assert "turn.insert(" in source
    assert not any(word in source for word in ("turn.update(", "turn.delete(", "insert_many"))
    assert history_entries.info["owner"] == "History"
