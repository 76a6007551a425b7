"""Write the next migration: the declared tables' differences from the revisions so far. `make revision` runs it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command

import foundry.app  # noqa: F401  the composition root imports every actor, and so every table
from foundry.runtime.store.migrate import HERE, alembic_config, contraction, engine_of, migrate, revisions


def main(message: str, directory: Path = HERE) -> None:
    """Compare with a database that has all revisions so far, and write the differences into this directory."""
    with tempfile.TemporaryDirectory() as scratch:
        url = f"sqlite:///{scratch}/scratch.db"
        migrate(url)
        engine = engine_of(url)
        with engine.connect() as connection:
            number = f"{len(revisions()) + 1:04d}"
            command.revision(alembic_config(connection, directory), message, autogenerate=True, rev_id=number)
        engine.dispose()
    _tidy(next((directory / "versions").glob(f"{number}_*.py")))
    if (last := contraction()) is not None:
        _swap(directory / "versions", last, number)


def _tidy(path: Path) -> None:
    """As the other revisions are written: without Alembic's comments and the tables' owners, and formatted."""
    lines = [line for line in path.read_text().splitlines() if "# ###" not in line]
    path.write_text(re.sub(r",\s*info=\{[^}]*\}", "", "\n".join(lines) + "\n"))
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", path], check=True)


def _swap(versions: Path, contracts: str, expands: str) -> None:
    """The new revision takes the contraction's number and place: a server beside one of the last release needs it."""
    files = {contracts: next(versions.glob(f"{expands}_*.py")), expands: next(versions.glob(f"{contracts}_*.py"))}
    before = {contracts: revisions()[contracts], expands: contracts}
    for number, path in files.items():
        source = re.sub(r"^revision = .*$", f'revision = "{number}"', path.read_text(), count=1, flags=re.MULTILINE)
        source = re.sub(
            r"^down_revision = .*$", f'down_revision = "{before[number]}"', source, count=1, flags=re.MULTILINE
        )
        path.unlink()
        path.with_name(f"{number}{path.name[4:]}").write_text(source)


if __name__ == "__main__":
    if not (words := " ".join(sys.argv[1:])):
        sys.exit('revision: say what changes: make revision MESSAGE="..."')
    main(f"{words[0].upper()}{words[1:].removesuffix('.')}.")
