"""The shell scripts that run in sandboxes, one file each. The second line of a script documents its arguments.

Each is read once, when the module that runs it is imported, and passed to the shell with `-c`: a sandbox needs no copy.
Values are passed as arguments, never inserted into the text. `make check` runs shellcheck on all of them.
"""

from __future__ import annotations

from pathlib import Path


def script(name: str) -> str:
    """Return the text of NAME.sh."""
    return (Path(__file__).parent / f"{name}.sh").read_text()
