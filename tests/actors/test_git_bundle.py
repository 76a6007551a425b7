"""Checkpoints on real git: all of the work is in one, the agent's own state is untouched, and all of it returns."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from foundry.actors.sandbox_instance.git import Git
from foundry.actors.sandbox_instance.git_bundle import restore, save
from foundry.contracts.sandbox_provider import ProcessResult, SandboxGone
from foundry.contracts.task_checkpoints import CheckpointUnfit, Saved

GIT = shutil.which("git") or "git"


async def run(argv: Sequence[str], *, cwd: str | None, env: Mapping[str, str], timeout: float) -> ProcessResult:
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=cwd, env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **env},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, errors = await process.communicate()
    return ProcessResult(exit_code=process.returncode, stdout=out.decode(), stderr=errors.decode())


def git(where: Path, *arguments: str) -> None:
    """A command of git's in a repository that need not exist yet."""
    where.mkdir(exist_ok=True)
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
    subprocess.run([GIT, *identity, *arguments], cwd=where, check=True, capture_output=True)


class Tree:
    """A clone as Foundry makes one, with the branch `work` cut from `main`."""

    def __init__(self, path: Path, origin: Path) -> None:
        self.path = path
        subprocess.run([GIT, "clone", "-q", str(origin), str(path)], check=True)
        self("checkout", "-q", "-b", "work")
        self("update-ref", "refs/foundry/base", "HEAD")
        self.git = Git(run, str(path), git=GIT)
        self.out = str(path / ".git" / "foundry-x")

    def __call__(self, *arguments: str, check: bool = True) -> str:
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        done = subprocess.run([GIT, *identity, *arguments], cwd=self.path, check=check, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def commit(self, message: str) -> str:
        self("add", "-A")
        self("commit", "-q", "-m", message)
        return self("rev-parse", "HEAD")

    def state(self) -> tuple[str, ...]:
        """Everything that an agent can see of its repository."""
        status = self("status", "--porcelain=v2", "--branch", "--untracked-files=all", "--ignored")
        staged = self("diff", "--cached")
        branches = self("for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/stash")
        return status, staged, self("diff"), branches, self("stash", "list")

    def files(self) -> dict[str, tuple[int, bytes | str]]:
        found: dict[str, tuple[int, bytes | str]] = {}
        for place in sorted(self.path.rglob("*")):
            if ".git" not in place.relative_to(self.path).parts and (place.is_symlink() or place.is_file()):
                mode = 0 if place.is_symlink() else place.stat().st_mode & 0o111
                name = str(place.relative_to(self.path))
                found[name] = mode, os.readlink(place) if place.is_symlink() else place.read_bytes()
        return found

    async def save(self, known: str = "") -> Saved:
        return await save(self.git, self.out, known)

    async def restore(
        self, other: Tree, saved: Saved, *, branch: str = "", keep_newer: bool = False, spare: Sequence[str] = ()
    ) -> str:
        """Bring back what `other` has saved."""
        bundle = Path(f"{other.out}.bundle").read_bytes()
        half = len(bundle) // 2
        for number, part in enumerate((bundle[:half], bundle[half:])):
            Path(f"{self.out}.bundle.part-{number:04}").write_bytes(part)
        given = {
            "branch": branch or saved.branch or "work",
            "base_branch": "main",
            "keep_newer": keep_newer,
            "spare": spare,
        }
        return await restore(self.git, f"{self.out}.bundle", saved, **given)  # type: ignore[arg-type]


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    source = tmp_path / "origin"
    git(source, "init")
    for name, text in (("a.txt", "one\n"), ("b.txt", "two\n"), ("sub/c.txt", "three\n"), (".gitignore", "*.log\n")):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(text)
    git(source, "add", "-A")
    git(source, "commit", "-m", "Begin")
    return source


@pytest.fixture
def tree(tmp_path: Path, origin: Path) -> Tree:
    return Tree(tmp_path / "clone", origin)


def busy(tree: Tree) -> None:
    """Commits, staged and unstaged changes, new, removed, renamed, executable and odd files, a branch, two stashes."""
    for number in (1, 2):
        tree.write("a.txt", f"stash {number}\n")
        tree("stash", "push", "-q", "-m", f"stash {number}")
    tree("branch", "idea")
    tree.write("new.txt", "committed\n")
    tree.commit("A commit")
    tree("checkout", "-q", "idea")
    tree.write("idea.txt", "an idea\n")
    tree.commit("An idea")
    tree("checkout", "-q", "work")
    tree.write("a.txt", "staged\n")
    tree("add", "a.txt")
    tree.write("a.txt", "changed after it was staged\n")
    tree("rm", "-q", "b.txt")
    tree("mv", "sub/c.txt", "sub/d.txt")
    tree.write("un tracked/with 'quotes'\n and a new line", "odd\n")
    tree.write("binary", "\x00\x01")
    (tree.path / "binary").chmod(0o755)
    (tree.path / "link").symlink_to("a.txt")
    tree.write("debug.log", "ignored\n")


async def test_a_save_leaves_the_agents_own_state_as_it_was(tree: Tree) -> None:
    busy(tree)
    before = tree.state()
    saved = await tree.save()
    assert tree.state() == before
    assert (saved.branch, saved.head) == ("work", tree("rev-parse", "HEAD"))
    assert (saved.commits, saved.left_out) == (1, [])
    assert saved.size == Path(f"{tree.out}.bundle").stat().st_size
    assert sorted(p.name for p in (tree.path / ".git").glob("foundry-*")) == ["foundry-x.bundle", "foundry-x.patch.gz"]
    assert tree("for-each-ref", "refs/foundry/save") == ""


async def test_all_of_it_returns_in_a_fresh_clone(tree: Tree, tmp_path: Path, origin: Path) -> None:
    busy(tree)
    saved = await tree.save()
    fresh = Tree(tmp_path / "fresh", origin)
    assert await fresh.restore(tree, saved) == saved.head
    expected = tree.files()
    del expected["debug.log"]  # git ignores it
    assert fresh.files() == expected
    assert fresh("rev-parse", "work", "idea") == tree("rev-parse", "work", "idea")
    assert fresh("symbolic-ref", "--short", "HEAD") == "work"
    assert [fresh("show", "--format=", f"stash@{{{n}}}") for n in (0, 1)] == [
        tree("show", "--format=", f"stash@{{{n}}}") for n in (0, 1)
    ]
    again = await fresh.save()
    assert again.work == saved.work, "what was restored is what was saved"


async def test_a_restore_in_place_goes_back_and_keeps_what_git_ignores(tree: Tree) -> None:
    busy(tree)
    saved, expected = await tree.save(), tree.files()
    shutil.copy(f"{tree.out}.bundle", tree.path.parent / "kept")
    tree.commit("Everything")
    tree.write("a.txt", "spoilt\n")
    tree.write("junk/junk.txt", "junk\n")
    shutil.copy(tree.path.parent / "kept", f"{tree.out}.bundle")
    assert await tree.restore(tree, saved) == saved.head
    assert tree.files() == expected
    assert tree("stash", "list").count("\n") == 1, "no stash twice"


async def test_the_same_work_is_not_saved_twice(tree: Tree) -> None:
    busy(tree)
    first = await tree.save()
    again = await tree.save(first.fingerprint)
    assert again == Saved(fingerprint=first.fingerprint)
    assert not Path(f"{tree.out}.bundle").exists()
    tree.write("a.txt", "one more change\n")
    assert (await tree.save(first.fingerprint)).work not in ("", first.work)


async def test_the_patch_has_the_whole_change(tree: Tree, tmp_path: Path, origin: Path) -> None:
    busy(tree)
    await tree.save()
    patch = gzip.decompress(Path(f"{tree.out}.patch.gz").read_bytes())
    fresh = Tree(tmp_path / "fresh", origin)
    (tmp_path / "patch").write_bytes(patch)
    fresh("apply", str(tmp_path / "patch"))
    expected = tree.files()
    del expected["debug.log"]
    assert fresh.files() == expected


async def test_work_in_the_middle_of_a_merge_and_on_no_branch_is_saved(
    tree: Tree, tmp_path: Path, origin: Path
) -> None:
    tree("checkout", "-q", "-b", "other")
    tree.write("a.txt", "theirs\n")
    tree.commit("Theirs")
    tree("checkout", "-q", "work")
    tree.write("a.txt", "ours\n")
    tree.commit("Ours")
    tree("checkout", "-q", "--detach")
    tree("merge", "-q", "other", check=False)
    assert "<<<<<<<" in (tree.path / "a.txt").read_text()
    before = tree.state()
    saved = await tree.save()
    assert tree.state() == before
    assert saved.branch == ""
    fresh = Tree(tmp_path / "fresh", origin)
    await fresh.restore(tree, saved, branch="work")
    assert fresh.files() == tree.files()


async def test_what_cannot_be_saved_is_named(tree: Tree) -> None:
    inner = tree.path / "inner"
    git(inner, "init")
    git(inner, "commit", "--allow-empty", "-m", "x")
    assert (await tree.save()).left_out == ["inner"]


async def test_what_is_left_out_is_named_also_where_nothing_else_is_new(tree: Tree, tmp_path: Path) -> None:
    """A repository without a commit, one that has some, and another work tree's changes."""
    git(tree.path / "empty", "init")
    tree.write("empty/in.txt", "in")
    git(tree.path / "inner", "init")
    git(tree.path / "inner", "commit", "--allow-empty", "-m", "in")
    tree("worktree", "add", "-q", "-b", "other", str(tmp_path / "other"))
    (tmp_path / "other" / "wip.txt").write_text("wip")
    tree.write("a.txt", "a")
    first = await save(tree.git, tree.out, "")
    assert first.left_out == sorted(["empty", "inner", str(tmp_path / "other")])
    again = await save(tree.git, tree.out, first.fingerprint)
    assert (again.fingerprint, again.left_out) == (first.fingerprint, first.left_out)


async def test_what_git_was_told_not_to_look_at_is_saved(tree: Tree) -> None:
    tree.write("one.txt", "one")
    tree.write("two.txt", "two")
    tree.commit("Two files")
    tree("update-index", "--assume-unchanged", "one.txt")
    tree("update-index", "--skip-worktree", "two.txt")
    tree.write("one.txt", "one more")
    tree.write("two.txt", "two more")
    saved = await save(tree.git, tree.out, "")
    assert tree("show", f"{saved.work}:one.txt") == "one more"
    assert tree("show", f"{saved.work}:two.txt") == "two more"
    assert tree("status", "--porcelain") == "", "the agent's own index is as it was"


async def test_a_restore_leaves_alone_what_no_checkpoint_has(tree: Tree) -> None:
    tree.write("a.txt", "a")
    saved = await save(tree.git, tree.out, "")
    tree.write("sub/secret.key", "precious")
    tree.write("late.txt", "late")
    await tree.restore(tree, saved, spare=["sub/secret.key"])
    assert (tree.path / "sub/secret.key").read_text() == "precious"
    assert not (tree.path / "late.txt").exists()


async def test_a_clone_that_is_gone_is_told_from_git_that_fails(tree: Tree) -> None:
    shutil.rmtree(tree.path / ".git")
    with pytest.raises(SandboxGone):
        await tree.git.work_tree("main")
    with pytest.raises(SandboxGone):
        await save(tree.git, tree.out, "")


async def test_hooks_and_odd_config_of_the_agents_do_not_keep_work_from_being_saved(tree: Tree) -> None:
    hook = tree.path / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    tree("config", "core.fsmonitor", "/bin/false")
    tree("config", "commit.gpgsign", "true")
    tree("config", "diff.external", "/bin/false")
    tree("config", "core.pager", "/bin/false")
    tree.write("a.txt", "changed\n")
    assert (await tree.save()).changed == 1


async def test_a_clone_without_the_base_says_so(tree: Tree, tmp_path: Path) -> None:
    tree.write("a.txt", "changed\n")
    saved = await tree.save()
    strange = tmp_path / "strange"
    git(strange, "init")
    git(strange, "commit", "--allow-empty", "-m", "x")
    other = Tree(tmp_path / "other", strange)
    with pytest.raises(CheckpointUnfit):
        await other.restore(tree, saved)


@pytest.mark.parametrize("newer", [True, False])
async def test_where_github_has_gone_on_a_rebuilt_branch_does_not_go_back(
    tree: Tree, tmp_path: Path, origin: Path, newer: bool
) -> None:
    tree.write("a.txt", "mine\n")
    tree.commit("Mine")
    tree("push", "-q", "origin", "work")
    tree.write("b.txt", "not committed\n")
    saved = await tree.save()
    if newer:
        tree("stash", "-q")
        tree.write("c.txt", "a colleague's\n")
        pushed = tree.commit("A colleague's")
        tree("push", "-q", "origin", "work")
        tree("reset", "-q", "--hard", saved.head)
        shutil.copy(f"{tree.out}.bundle", tmp_path / "kept")
    fresh = Tree(tmp_path / "fresh", origin)
    fresh("checkout", "-q", "-B", "work", "origin/work")
    head = await fresh.restore(tree, saved, keep_newer=True)
    if newer:
        assert head == pushed
        assert (fresh.path / "b.txt").read_text() == "two\n"
    else:
        assert head == saved.head
        assert (fresh.path / "b.txt").read_text() == "not committed\n"
