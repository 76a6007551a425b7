"""Runs git on the stand-in's bare repositories."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

ENV = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
GITHUB = ("GitHub", "noreply@github.test")
DEADLINE = 60  # seconds for one git command

Who = tuple[str, str]
"""Name and e-mail address."""


class GitError(Exception):
    """A git command failed. The text is git's message."""


class Conflict(GitError):
    """Two branches cannot be merged."""


def git(*arguments: str, cwd: Path, stdin: str | None = None, who: Who = GITHUB, committer: Who | None = None) -> str:
    """Run git and return its output.

    Raises:
        GitError: git failed.
    """
    committer = committer or who
    env = os.environ | ENV
    env |= {"GIT_AUTHOR_NAME": who[0], "GIT_AUTHOR_EMAIL": who[1]}
    env |= {"GIT_COMMITTER_NAME": committer[0], "GIT_COMMITTER_EMAIL": committer[1]}
    done = subprocess.run(
        ["git", *arguments], cwd=cwd, env=env, input=stdin, capture_output=True, text=True, errors="replace",
        timeout=DEADLINE,
    )  # fmt: skip
    if done.returncode != 0:
        raise GitError(done.stderr.strip() or done.stdout.strip())
    return done.stdout.strip()


def holds(path: Path, *arguments: str) -> bool:
    """Return True if git's exit code is 0."""
    try:
        git(*arguments, cwd=path)
    except GitError:
        return False
    return True


def is_ancestor(path: Path, old: str, new: str) -> bool:
    return holds(path, "merge-base", "--is-ancestor", old, new)


def merged_tree(path: Path, base: str, head: str) -> str:
    """Return the merged tree of the two.

    Raises:
        Conflict: they change the same lines.
    """
    if is_ancestor(path, base, head):
        return git("rev-parse", f"{head}^{{tree}}", cwd=path)
    try:
        return git("merge-tree", "--write-tree", base, head, cwd=path).splitlines()[0]
    except GitError as error:
        raise Conflict(str(error)) from None


def merge(path: Path, base: str, head: str, message: str, who: Who) -> str:
    """Create a merge commit of the two. No branch points to it yet."""
    tree = merged_tree(path, base, head)
    return git("commit-tree", tree, "-p", base, "-p", head, cwd=path, stdin=message, who=who, committer=GITHUB)


def squash(path: Path, base: str, head: str, message: str, who: Who) -> str:
    """Create one commit on base with all of head's changes. No branch points to it yet."""
    tree = merged_tree(path, base, head)
    return git("commit-tree", tree, "-p", base, cwd=path, stdin=message, who=who, committer=GITHUB)


def rebase(path: Path, base: str, head: str) -> str:
    """Rebase head's commits on top of base. No branch points to the result yet.

    Raises:
        Conflict: they change the same lines.
    """
    with tempfile.TemporaryDirectory() as made:
        tree = Path(made) / "tree"
        git("worktree", "add", "--quiet", "--detach", str(tree), head, cwd=path)
        try:
            git("rebase", "--quiet", "--force-rebase", base, cwd=tree)
            return git("rev-parse", "HEAD", cwd=tree)
        except GitError as error:
            raise Conflict(str(error)) from None
        finally:
            git("worktree", "remove", "--force", str(tree), cwd=path)
