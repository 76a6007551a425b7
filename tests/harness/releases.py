"""The sources of an earlier release, as git has them."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import foundry

ROOT = Path(__file__).parents[2]


def commit_of(version: str) -> str:
    """The last commit that carried this version.

    Raises:
        LookupError: the history does not have it, as in a shallow clone.
    """
    line = f'version = "{version}"'
    touched = _git("log", "--format=%H", f"-S{line}", "--", "pyproject.toml").split()
    for commit in touched:  # the newest first: the one that took the line away, else the one that brought it
        if line in _git("show", f"{commit}:pyproject.toml"):
            return commit
        if line in _git("show", f"{commit}^:pyproject.toml"):
            return _git("rev-parse", f"{commit}^").strip()
    raise LookupError(f"this clone's history has no release {version}")


def make(version: str, place: Path) -> Path:
    """Where its `foundry` package is, to be put on the path; its tests are beside it."""
    packed = subprocess.run(
        ["git", "archive", commit_of(version), "src", "tests"], cwd=ROOT, check=True, capture_output=True
    )
    place.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(place, filter="data")
    static = place / "src/foundry/web/static"
    shutil.rmtree(static, ignore_errors=True)
    static.symlink_to(Path(foundry.__file__).parent / "web/static")
    return place / "src"


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout
