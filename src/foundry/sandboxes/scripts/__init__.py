"""The shell scripts that run in sandboxes, one file each; what a script takes and prints is said at its top.

They are read once, when what runs them is imported, and are handed to the shell as `-c`, so a sandbox needs no copy of
them. Values go in as arguments, never into the text. `make check` has shellcheck look at them.
"""

from __future__ import annotations

from pathlib import Path


def script(name: str) -> str:
    """The text of NAME.sh."""
    return (Path(__file__).parent / f"{name}.sh").read_text()
