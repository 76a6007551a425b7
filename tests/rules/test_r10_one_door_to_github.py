"""R10: GitHubState alone receives webhooks, calls GitHub, stores what GitHub says, and tells the tree."""

from __future__ import annotations

import pytest

from foundry.actors.github_state.access_door import AccessOutside
from foundry.actors.github_state.door import GitHubOutside
from foundry.app import house
from foundry.contracts import github_state as words
from foundry.runtime.actor import Registry
from tests.rules.lookup import SRC, imports, metadata, naming, owned_by

EDGE_MAY = {"foundry.github.webhooks", "foundry.github.errors"}  # the signature, and what sign-in may answer
WIRING = {"app.py"}


def test_among_the_actors_only_its_package_knows_the_client() -> None:
    for path in (SRC / "actors").rglob("*.py"):
        reached = {name for name in imports(path) if name == "foundry.github" or name.startswith("foundry.github.")}
        assert not reached or path.parent.name == "github_state", f"{path.relative_to(SRC)} imports {reached}"


def test_the_edge_calls_nothing_of_github_itself() -> None:
    for room in ("api", "web"):
        for path in (SRC / room).rglob("*.py"):
            for name in imports(path):
                allowed = any(name == module or name.startswith(f"{module}.") for module in EDGE_MAY)
                inside = name.startswith("foundry.github.")
                assert not inside or allowed, f"{path.relative_to(SRC)} imports {name}"


def test_no_other_room_speaks_to_github() -> None:
    for path in SRC.rglob("*.py"):
        room = path.relative_to(SRC).parts[0]
        if room not in ("github", "devkit"):
            assert not any(name.split(".")[0] == "gidgethub" for name in imports(path)), path


def test_no_turn_of_it_calls_github() -> None:
    """Only the door and the tokens it uses reach outside; the actor's own modules could not wait for an answer."""
    for path in (SRC / "actors" / "github_state").rglob("*.py"):
        if any(name.startswith("foundry.github") for name in imports(path)):
            assert path.name in ("door.py", "access_door.py", "person_tokens.py")


@pytest.mark.parametrize("word", ["Deliver", "Delivered", "RecordRepositories", "RecordMembers", "RecordPullRequests"])
def test_nobody_else_takes_what_github_says(word: str) -> None:
    takers = {kind.name for kind in Registry(house().actors).kinds.values() if getattr(words, word) in kind.handlers}
    assert takers == {"GitHubState"}


@pytest.mark.parametrize("word", ["RepositoriesSeen", "RepositorySeen", "OrganizationSeen", "InstallationSeen"])
def test_nobody_else_announces_what_github_implies(word: str) -> None:
    receivers = ("actors/organization/", "actors/repository/", "actors/app_shell/")
    senders = {path for path in naming(word) if not path.startswith(receivers)}
    assert all(path.startswith("actors/github_state/") for path in senders), senders
    assert senders


def test_what_github_says_is_stored_there_alone() -> None:
    mine = owned_by("GitHubState")
    assert {"github_repositories", "github_members", "github_pull_requests", "github_deliveries"} <= mine
    for table in metadata.tables.values():
        if table.name not in mine:
            assert not any(word in table.name for word in ("pull_request", "member", "deliver")), table.name


def test_every_call_to_github_is_a_method_of_its_door() -> None:
    assert GitHubOutside.__module__ == "foundry.actors.github_state.door"
    constructed = {p for p in naming("GitHub") if not p.startswith(("github/", "devkit/"))}
    assert AccessOutside.__module__ == "foundry.actors.github_state.access_door"
    assert constructed - WIRING == {"actors/github_state/door.py", "actors/github_state/access_door.py"}
    assert {p for p in naming("OAuth") if not p.startswith(("github/", "devkit/"))} == WIRING
