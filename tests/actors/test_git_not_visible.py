"""Foundry runs git inside the sandbox. It selects one that the sandbox sees, or says that there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundry.actors.sandbox_instance.door import Sandboxes
from foundry.contracts.ids import OrganizationId, RepositoryId, SandboxId, UserId
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import GitNotVisible
from foundry.contracts.sandbox_provider import Endpoint
from foundry.sandboxes.local import isolation
from foundry.sandboxes.local.isolation import Walls
from tests.actors.test_task_session_real import NoBlobs
from tests.sandboxes.conftest import Lab, binary, lab, walls  # noqa: F401

BOX = SandboxId("sbx_1")
ADA = Person(id=UserId("1"), login="ada")
REPOSITORY = RepositoryRef(
    id=RepositoryId("1"), organization=OrganizationId("1"), owner="o", name="n", clone_url="http://127.0.0.1:9/o/n"
)


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    """A directory with a git on Foundry's PATH that does not exist in a sandbox, such as a person's home."""
    folder = tmp_path / "home" / "ada" / "bin"
    folder.mkdir(parents=True)
    git = folder / "git"
    git.write_text('#!/bin/sh\nexec /usr/bin/git "$@"\n')
    git.chmod(0o755)
    return folder


@pytest.fixture
def isolated(walls: Walls) -> Walls:  # noqa: F811
    if walls.bwrap is None:
        pytest.skip(f"bubblewrap does not work here: {walls.warning}")
    return walls


def found(walls: Walls, *folders: Path | str) -> isolation.FoundGit:  # noqa: F811
    return isolation.find_git(walls, ":".join(map(str, folders)), read_only=[], hidden=Path("/nowhere"))


def test_a_git_that_sandboxes_do_not_see_is_passed_over(isolated: Walls, hidden: Path) -> None:
    git = found(isolated, hidden, "/usr/bin")
    assert git == ("/usr/bin/git", f"{hidden}/git does not run inside sandboxes; Foundry uses /usr/bin/git there.")
    assert found(isolated, "/usr/bin", hidden) == ("/usr/bin/git", None)


def test_where_sandboxes_see_none_the_path_and_what_to_do_are_named(isolated: Walls, hidden: Path) -> None:
    path, warning = found(isolated, hidden)
    assert path == f"{hidden}/git"
    assert warning
    assert f"{hidden}/git does not run inside sandboxes, so every clone will fail." in warning
    assert "Install git in a system directory (/usr/bin/git" in warning


def test_one_that_is_shown_to_sandboxes_is_taken(isolated: Walls, hidden: Path) -> None:
    git = isolation.find_git(isolated, str(hidden), read_only=[hidden], hidden=hidden.parent)
    assert git == (f"{hidden}/git", None)


def test_without_walls_the_first_one_is_taken(hidden: Path) -> None:
    assert found(Walls(None, "not isolated"), hidden, "/usr/bin") == (f"{hidden}/git", None)


def test_without_any_git_that_is_said(hidden: Path) -> None:
    path, warning = found(Walls(None, "not isolated"), hidden.parent)
    assert path == "/usr/bin/git"
    assert "git is not installed on this machine" in (warning or "")


async def test_a_task_is_told_which_git_and_what_to_do(isolated: Walls, lab: Lab, hidden: Path) -> None:  # noqa: F811
    """Instead of "git clone ended with 127"."""

    async def endpoint(sandbox: SandboxId) -> Endpoint | None:
        return None

    boxes = Sandboxes(lab.provider, b"a secret", endpoint, NoBlobs(), git=f"{hidden}/git")
    await boxes.create(BOX, ["mock"])
    await boxes.start(BOX)
    try:
        with pytest.raises(GitNotVisible) as clone:
            await boxes.clone(BOX, REPOSITORY, branch="b", base="main", person=ADA, token="t")
        assert clone.value.detail == (f"{hidden}/git, which Foundry selected at its start, does not run in the sandbox")
        assert clone.value.remedy.startswith("Install git where sandboxes see it, such as /usr/bin/git")
        assert not clone.value.transient, "no further try helps"
        with pytest.raises(GitNotVisible):
            await boxes.work_tree(BOX, "main")
        with pytest.raises(GitNotVisible):
            await boxes.push(BOX, REPOSITORY, branch="b", token="t")
    finally:
        await boxes.close()
