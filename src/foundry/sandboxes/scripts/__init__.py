"""The shell scripts that run in sandboxes, one file each. A comment at the top names the arguments and the output.

The modules that use a script read it once, at import, and pass it to the shell with `-c`, so a sandbox needs no copy.
Values are arguments, never part of the text. `make check` checks the scripts with shellcheck.
"""

from __future__ import annotations

from pathlib import Path


def script(name: str) -> str:
    """Return the text of NAME.sh."""
    return (Path(__file__).parent / f"{name}.sh").read_text()
