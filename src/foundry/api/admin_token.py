"""The local admin token, in a file that its owner alone can read. It may be replaced while the server runs."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import structlog

NAME = "admin.token"

log = structlog.get_logger("foundry.api")


class AdminTokenFile:
    """Returns the token that is in the file now. Reads the file again only if it is another one, or was written.

    Args:
        changed: called when a token has replaced the one that was known.
    """

    def __init__(self, data_dir: Path, changed: Callable[[], None] = lambda: None) -> None:
        self._path = data_dir / NAME
        self._changed = changed
        self._mark: tuple[int, int, int] | None = None
        self._token = ""
        if not self._path.exists():
            write_token(data_dir)

    def __call__(self) -> str:
        """Return the token. Empty if the file is gone or unreadable: then nobody has the token."""
        try:
            found = self._path.stat()
            mark = (found.st_ino, found.st_mtime_ns, found.st_size)
            if mark != self._mark:
                self._learn(self._path.read_text().strip(), mark)
        except OSError as error:
            if self._mark is not None:
                log.warning("the admin token is unreadable and therefore off", path=str(self._path), error=str(error))
                self._learn("", None)
        return self._token

    def _learn(self, token: str, mark: tuple[int, int, int] | None) -> None:
        replaced = bool(self._token) and token != self._token
        self._token, self._mark = token, mark
        if replaced:
            self._changed()


def write_token(data_dir: Path) -> None:
    """Write a new token. The file has the old one or the new one at any moment, and is never readable by others."""
    path = data_dir / NAME
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(32))
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
