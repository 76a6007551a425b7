"""R14: no repo-level GitHub caches; a task stores the pull request's number and its own decisions, nothing more."""

from __future__ import annotations

import re
from pathlib import Path

from foundry.contracts import addresses
from foundry.contracts.ids import TaskId
from foundry.contracts.repository import ReserveBranch
from foundry.contracts.task import PullRequestRef, PullRequestSeen
from tests.actors.tree import REPO, begin_task, heard_by, tally_tree
from tests.rules.lookup import columns_of, metadata, owned_by, stored

GITHUBS = re.compile(r"title|body|draft|author|label|review|check|mergeable|sha", re.IGNORECASE)


def test_a_task_stores_of_a_pull_request_what_says_which_and_what_it_made_of_it() -> None:
    assert set(PullRequestRef.model_fields) == {"number", "state", "url"}
    own = columns_of("Task")
    about = {name for name in own if name.startswith(("pull", "pr_"))}
    assert about == {"pull_request_number", "pull_request_ended"}


def test_no_actor_but_githubstate_has_a_table_of_pull_requests() -> None:
    for table in metadata.tables.values():
        if table.name in owned_by("GitHubState") or "owner" not in table.info:
            continue
        for column in table.columns:
            if column.name.startswith(("pull", "pr_")):
                assert not GITHUBS.search(column.name), f"{table.name}.{column.name}"
        assert not re.search(r"pull|check_(run|suite)|checks|review", table.name), table.name


async def test_a_pull_request_passes_through_its_repository_and_leaves_nothing(tmp_path: Path) -> None:
    async with tally_tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        here = addresses.repository(REPO)
        await begin_task(stage)
        await stage.ask(here, ReserveBranch(task=TaskId("tsk_1"), wanted="fix", exact=True))
        seen = PullRequestSeen(
            repository=REPO, number=7070707, head="fix", base="main", state="open", title="A telling title", action=""
        )
        await stage.say(seen, to=here)
        assert [message.title for message in await heard_by(stage, "tsk_1")] == ["A telling title"]
    kept = stored(tmp_path / "foundry.db", *sorted(owned_by("Repository") | owned_by("History")))
    assert "telling" not in kept
    assert "7070707" not in kept
