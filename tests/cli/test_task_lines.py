"""What `foundry task show` prints of a task, for each state of it."""

from __future__ import annotations

from typing import Any

import pytest

from foundry.cli.task import lines
from foundry.contracts.task import BranchRename
from foundry.contracts.task_branch import Upstream, UpstreamState
from tests.web.samples import NOW, failure, task

RENAME = BranchRename(old="foundry/tides", new="tides", step="looking at GitHub")
AHEAD = Upstream(head="c0ffee", state=UpstreamState.AHEAD, said="GitHub's branch has commits that are not here.")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"retained": "These could not be saved: sub."}, "sandbox is retained: These could not be saved: sub."),
        ({"remove_at": NOW}, "sandbox will be removed at 2026-03-04T09:30:00"),
        ({"sandbox_stopped": True}, "sandbox is stopped because nobody used it; it starts on the next message"),
        ({"failure": failure(remedy="Retry it.")}, "what to do: Retry it."),
        ({"rename": RENAME, "renaming": True}, "renaming: foundry/tides to tides, looking at GitHub"),
        ({"rename": RENAME}, "rename failed: foundry/tides to tides, looking at GitHub"),
        ({"upstream": AHEAD}, "to fetch them: foundry task fetch "),
        ({"upstream": AHEAD, "fetching": True}, "fetching them now"),
        ({"attempt": 2}, "attempt 2"),
        ({"note": "The branch was renamed."}, "The branch was renamed."),
    ],
)
def test_a_line_says_it(changes: dict[str, Any], line: str) -> None:
    text = "\n".join(lines(task(**changes).model_dump(mode="json")))
    assert line in text
    assert line not in "\n".join(lines(task().model_dump(mode="json")))
