"""R19: the recorded runtime issues are the one source of the error badges in the top bar and the settings pages."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from foundry.actors.app_shell.views import issues as app_issues
from foundry.actors.organization.views import issues
from foundry.app import house
from foundry.contracts import addresses
from foundry.contracts.ids import TaskId
from foundry.contracts.issues import FailureEnded, FailureRaised, IssueKind, RecordFailure
from foundry.contracts.organization import IssuesChanged
from foundry.contracts.task import PullRequestSeen
from foundry.runtime.actor import Registry
from tests.actors.tree import ORG, REPO, failure, tally_tree
from tests.rules.lookup import metadata, naming
from tests.waiting import eventually


async def test_what_is_recorded_is_what_the_badge_and_its_watchers_see(tmp_path: Path) -> None:
    async with tally_tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        here = addresses.organization(ORG)
        await stage.ask(here, RecordFailure(failure=failure("workflow:1")))
        found = await stage.read(issues, ORG)
        assert [issue.failure.fingerprint for issue in found] == ["workflow:1"]
        word, body = (await stage.events(here))[-1]
        assert (word, IssuesChanged.model_validate_json(body).issues) == ("IssuesChanged", found)


async def test_a_message_that_fails_for_good_is_there_too_and_can_be_named(tmp_path: Path) -> None:
    async with tally_tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        seen = PullRequestSeen(repository=REPO, number=7, head="fix", base="main", state="open")
        last_try = (
            "CREATE TRIGGER hurry AFTER INSERT ON mailbox WHEN NEW.receiver = 'Task:tsk_missing'"
            " BEGIN UPDATE mailbox SET tries = 4 WHERE id = NEW.id; END"
        )
        with closing(sqlite3.connect(tmp_path / "foundry.db")) as database:
            database.execute(last_try)
            database.commit()
        await stage.say(seen, to=addresses.task(TaskId("tsk_missing")))
        (issue,) = await eventually(lambda: stage.read(app_issues), lambda found: len(found) == 1)
        assert issue.failure.kind is IssueKind.MESSAGE_SET_ASIDE
        assert issue.failure.mailbox_id is not None
        assert "tsk_missing" in issue.failure.message


def test_issues_are_kept_by_the_two_coordinators_alone() -> None:
    takers = {k.name for k in Registry(house().actors).kinds.values() if RecordFailure in k.handlers}
    assert takers == {"AppShell", "Organization"}
    for word in (FailureRaised, FailureEnded):
        assert takers == {k.name for k in Registry(house().actors).kinds.values() if word in k.handlers}
    kept = {t.name for t in metadata.tables.values() if "fingerprint" in t.columns and "times" in t.columns}
    assert kept == {"app_issues", "organization_issues"}


def test_issues_are_made_in_one_place_and_read_through_two_views() -> None:
    makers = {path for path in naming("IssuesChanged") if path.startswith("actors/")}
    assert makers == {"actors/runtime_issues.py"}
    book = {path for path in naming("IssueBook") | naming("listed") if path.startswith("actors/")}
    assert book <= {f"actors/{kind}/{name}.py" for kind in ("app_shell", "organization") for name in ("actor", "views")}
