"""Write the next migration: the declared tables' differences from the revisions so far. `make revision` runs it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command

import foundry.app  # noqa: F401  the composition root imports every actor, and so every table
from foundry.runtime.store.migrate import HERE, alembic_config, engine_of, migrate, revisions


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


if __name__ == "__main__":
    if not (words := " ".join(sys.argv[1:])):
        sys.exit('revision: say what changes: make revision MESSAGE="..."')
    main(words)
