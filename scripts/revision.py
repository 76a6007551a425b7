"""Write the next migration: the declared tables' differences from the revisions so far. `make revision` runs it."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic import command

import foundry.app  # noqa: F401  the composition root imports every actor, and so every table
from foundry import RELEASE
from foundry.runtime.store.migrate import HERE, alembic_config, contraction, engine_of, migrate, revisions
from foundry.runtime.store.releases import LAST


def main(message: str, directory: Path = HERE) -> None:
    """Compare with a database that has all revisions so far, and write the differences into this directory.

    A release ends with its contraction: databases exist that have it, so nothing can be put before it any more.
    """
    if (last := contraction(directory)) is not None:
        sys.exit(
            f"revision: {last} takes away what release {LAST} used, so release {RELEASE} has no revision after it.\n"
            "Begin the next release first (CONTRIBUTING.md, Change a table)."
        )
    with tempfile.TemporaryDirectory() as scratch:
        url = f"sqlite:///{scratch}/scratch.db"
        migrate(url, directory)
        engine = engine_of(url)
        with engine.connect() as connection:
            number = f"{len(revisions(directory)) + 1:04d}"
            command.revision(alembic_config(connection, directory), message, autogenerate=True, rev_id=number)
        engine.dispose()
    _tidy(next((directory / "versions").glob(f"{number}_*.py")))


def _tidy(path: Path) -> None:
    """As the other revisions are written: without Alembic's comments and the tables' owners, and formatted."""
    lines = [line for line in path.read_text().splitlines() if "# ###" not in line]
    path.write_text(re.sub(r",\s*info=\{[^}]*\}", "", "\n".join(lines) + "\n"))
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", path], check=True)


if __name__ == "__main__":
    if not (words := " ".join(sys.argv[1:])):
        sys.exit('revision: say what changes: make revision MESSAGE="..."')
    main(f"{words[0].upper()}{words[1:].removesuffix('.')}.")
