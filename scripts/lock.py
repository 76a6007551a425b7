"""Write the lock files, with versions and hashes for every platform and no download addresses. Needs uv from PyPI."""

from __future__ import annotations

import subprocess
import sys
import tomllib
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
    beside = ("-c", "requirements.lock")
    compile_lock(
        "requirements-dev.lock", "pyproject.toml", "-", "--extra", "devkit", "--extra", "dev", *beside, given=build
    )
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    compile_lock("requirements-devkit.lock", "-", *beside, given="\n".join(extras["devkit"]))
    compile_lock("requirements-node.lock", "-", given="\n".join(extras["node"]))


if __name__ == "__main__":
    main()
