"""The walls around a local sandbox: bubblewrap if it works, otherwise none.

Inside, the system is read-only and without the machine's secrets. The sandbox's home and work directories are writable
and have the same paths as outside. The sandbox has its own /tmp, /proc and /dev, and sees no other processes. Foundry's
data directory, people's homes, /var, /srv and /mnt do not exist there. The network is shared because agents need their
models. Agents run as user 1000 in a user namespace (some refuse to run as root); outside, that is the user who runs
Foundry.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROBE_LIMIT = 10.0  # seconds

USER = 1000  # uid and gid inside

GIT = "/usr/bin/git"
GIT_REMEDY = (
    "Sandboxes see system directories, but not people's homes. Install git in a system directory "
    f"({GIT}; Debian: apt install git), then restart Foundry."
)

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store", "/gnu/store")
_SECRET_FILES = ("/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/krb5.keytab")
_SECRET_FOLDERS = ("/etc/ssh", "/etc/ssl/private", "/etc/sudoers.d", "/etc/NetworkManager", "/etc/wireguard")


@dataclass(frozen=True)
class Walls:
    """How commands are isolated. `warning` is set if they are not."""

    bwrap: str | None
    warning: str | None

    def wrap(
        self,
        command: Sequence[str],
        *,
        writable: Sequence[Path],
        read_only: Sequence[Path],
        hidden: Path,
        cwd: Path,
        passwd: Path,
    ) -> list[str]:
        """Return the command that runs inside the walls.

        Args:
            writable: directories visible at their own paths; they must exist.
            read_only: files and directories visible at their own paths; missing ones are skipped.
            hidden: a directory that is invisible inside, except for the paths given by the other arguments.
            passwd: the file shown as /etc/passwd.
        """
        if self.bwrap is None:
            return list(command)
        words = _shown(read_only, hidden)
        words += ["--ro-bind", str(passwd), "/etc/passwd", *_binds("--bind", writable)]
        return [self.bwrap, *words, "--chdir", str(cwd), "--", *command]

    def runs(self, command: Sequence[str], *, read_only: Sequence[Path], hidden: Path) -> bool:
        """Run a quick command inside the walls of a sandbox without files. Returns True if it succeeded."""
        around = [] if self.bwrap is None else [self.bwrap, *_shown(read_only, hidden), "--chdir", "/", "--"]
        try:
            done = subprocess.run([*around, *command], capture_output=True, timeout=PROBE_LIMIT, check=False, env={})
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0


def probe() -> Walls:
    """Run bubblewrap to find out whether it works, and return the walls to use."""
    bwrap = shutil.which("bwrap")
    if sys.platform != "linux" or bwrap is None:
        return Walls(None, _warning("bubblewrap (bwrap) is not installed"))
    try:
        command = [bwrap, *_system(), *_home(), "--", "/bin/sh", "-c", "exit 0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PROBE_LIMIT, check=False, env={})
    except (OSError, subprocess.TimeoutExpired) as error:
        return Walls(None, _warning(f"bubblewrap does not run: {error}"))
    if done.returncode:
        return Walls(None, _warning(f"bubblewrap does not work here: {done.stderr.strip()[:300]}"))
    return Walls(bwrap, None)


class FoundGit(NamedTuple):
    path: str
    warning: str | None  # set if it is not the first git on the path, or if none runs; says what to do


def find_git(walls: Walls, path: str, *, read_only: Sequence[Path], hidden: Path) -> FoundGit:
    """Return the first git on the path that runs inside the walls. If none does, return the first one.

    Args:
        path: directories, separated by colons.
        read_only, hidden: as for `Walls.wrap`.
    """
    folders = dict.fromkeys(folder for folder in path.split(":") if folder.startswith("/"))
    gits = [git for folder in folders if os.access(git := f"{folder}/git", os.X_OK) and os.path.isfile(git)]
    for git in gits:
        if walls.runs([git, "--version"], read_only=read_only, hidden=hidden):
            if git == gits[0]:
                return FoundGit(git, None)
            return FoundGit(git, f"{gits[0]} does not run inside sandboxes; Foundry uses {git} there.")
    if not gits:
        return FoundGit(GIT, f"git is not installed on this machine. {GIT_REMEDY}")
    names = f"{gits[0]} does" if len(gits) == 1 else f"{' and '.join(gits)} do"
    return FoundGit(gits[0], f"{names} not run inside sandboxes, so every clone will fail. {GIT_REMEDY}")


def python_paths() -> list[Path]:
    """Return the paths that this Python needs inside: its environment, installation, packages and Foundry's source."""
    source = Path(__file__).parents[2]  # .../src/foundry or .../site-packages/foundry
    packages = [Path(path) for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return [Path(sys.prefix), Path(sys.base_prefix), *packages, source]


def _warning(reason: str) -> str:
    return (
        f"Sandboxes are not isolated from this machine: {reason}. Agents run as the user who runs Foundry and can read "
        "that user's files. Install bubblewrap and allow user namespaces, or use another provider."
    )


def _shown(read_only: Sequence[Path], hidden: Path) -> list[str]:
    """Return bubblewrap's arguments for all visible paths except the sandbox's own files."""
    inner = [path for path in read_only if path.is_relative_to(hidden)]
    outer = [path for path in read_only if not path.is_relative_to(hidden)]
    words = [*_system(), *_home(), *_binds("--ro-bind-try", outer), "--tmpfs", str(hidden)]
    return [*words, *_binds("--ro-bind-try", inner)]


def _system() -> list[str]:
    words = ["--unshare-user", "--uid", str(USER), "--gid", str(USER)]
    words += ["--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--cap-drop", "ALL"]
    for path in _SYSTEM:
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            words += ["--ro-bind", path, path]
    words += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run", "--tmpfs", "/var/tmp"]
    for path in _SECRET_FILES:
        if os.path.isfile(path) and not os.path.islink(path):
            words += ["--ro-bind", "/dev/null", path]
    for path in _SECRET_FOLDERS:
        if os.path.isdir(path) and not os.path.islink(path):
            words += ["--tmpfs", path]
    resolver = os.path.realpath("/etc/resolv.conf")
    if not resolver.startswith("/etc/") and os.path.exists(resolver):
        words += ["--ro-bind", resolver, resolver]
    return words


def _home() -> list[str]:
    """Hide the home of the user who runs Foundry if it lies in a system directory, such as a service's home in /opt."""
    home = Path.home()
    within = any(home.is_relative_to(path) for path in _SYSTEM if not os.path.islink(path))
    return ["--tmpfs", str(home)] if within and home.is_dir() and str(home) not in _SYSTEM else []


def _binds(how: str, paths: Sequence[Path]) -> list[str]:
    return [word for path in paths for word in (how, str(path), str(path))]
