"""An earlier release, as git has it, with the libraries that it locked."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tarfile
from importlib import metadata
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
    """Where its `foundry` package and its own libraries are, to be put on the path; its tests are beside that."""
    commit = commit_of(version)
    packed = subprocess.run(["git", "archive", commit, "src", "tests"], cwd=ROOT, check=True, capture_output=True)
    place.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(place, filter="data")
    static = place / "src/foundry/web/static"
    shutil.rmtree(static, ignore_errors=True)
    static.symlink_to(Path(foundry.__file__).parent / "web/static")
    _install(_git("show", f"{commit}:requirements.lock"), place / "src")
    return place / "src"


def _install(lock: str, place: Path) -> None:
    """Install the libraries of a lock file that this environment lacks, or has in another version."""
    pins = re.findall(r"^[\w.-]+==.*(?:\n .*)*", lock, re.MULTILINE)
    wanted = place.with_name("wanted.lock")
    wanted.write_text("\n".join(pin for pin in pins if not _installed(*pin.split()[0].split("=="))) + "\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-qq", "--no-deps"]
    subprocess.run([*pip, "--require-hashes", "--target", str(place), "-r", str(wanted)], check=True)


def _installed(name: str, version: str) -> bool:
    try:
        return metadata.version(name) == version
    except metadata.PackageNotFoundError:
        return False


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True, text=True).stdout
