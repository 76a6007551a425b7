"""The command line's own API token: `credentials.json` beside the settings file, readable by its owner alone."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import NamedTuple


class Stored(NamedTuple):
    """A token, and the only server that it is sent to."""

    url: str
    token: str


def _path() -> Path:
    from foundry.settings import config_path

    return config_path(os.environ).with_name("credentials.json")


def load() -> Stored | None:
    """Return the stored token, or None if there is none."""
    try:
        found = json.loads(_path().read_text())
        return Stored(str(found["url"]), str(found["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save(url: str, token: str) -> Path:
    """Store the token in place of the last one. Returns the file."""
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"url": url, "token": token}, file)
    partial.replace(path)
    return path


def forget() -> None:
    _path().unlink(missing_ok=True)
