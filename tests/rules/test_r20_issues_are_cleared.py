"""R20: there is an explicit action that clears recorded issues, one or all."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundry.actors.app_shell.views import issues as app_issues
from foundry.actors.organization.views import issues
from foundry.contracts import addresses
from foundry.contracts.issues import RecordFailure
from foundry.contracts.messages import APP, ScopeId
from foundry.contracts.organization import ClearIssues
from foundry.runtime.reader import Reader
from tests.actors.tree import ORG, failure, tally_tree
from tests.rules.lookup import naming


@pytest.mark.parametrize("scope", [APP, ScopeId(ORG)])
async def test_one_is_cleared_and_then_all(tmp_path: Path, scope: ScopeId) -> None:
    async with tally_tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        here = addresses.coordinator(scope)

        def left(reader: Reader) -> list[str]:
            found = app_issues(reader) if scope == APP else issues(reader, ORG)
            return [issue.id for issue in found]

        for name in ("a", "b", "c"):
            await stage.ask(here, RecordFailure(failure=failure(name, scope=scope)))
        first, *others = await stage.read(left)
        assert await stage.ask(here, ClearIssues(issue=first)) == 1
        assert await stage.read(left) == others
        assert await stage.ask(here, ClearIssues()) == 2
        assert await stage.read(left) == []


async def test_a_cleared_failure_that_comes_again_is_a_new_issue(tmp_path: Path) -> None:
    async with tally_tree(f"sqlite:///{tmp_path}/foundry.db") as stage:
        here = addresses.organization(ORG)
        await stage.ask(here, RecordFailure(failure=failure("a")))
        (old,) = await stage.read(issues, ORG)
        await stage.ask(here, ClearIssues())
        await stage.ask(here, RecordFailure(failure=failure("a")))
        (new,) = await stage.read(issues, ORG)
        assert (new.times, new.id != old.id) == (1, True)


def test_the_api_offers_it() -> None:
    assert any(path.startswith("api/") for path in naming("ClearIssues"))
