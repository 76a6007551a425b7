"""Secrets at rest: sealed with a key that is not in the database (MultiFernet: AES-128-CBC and HMAC-SHA256).

The first key seals; every key opens, so a key is rotated by putting a new one in front.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from foundry.contracts.errors import FoundryError

KEY_BYTES = 32


class WrongKey(FoundryError, code="wrong_secret_key", status=500):
    """The server's keys cannot decrypt a stored secret."""

    remedy = "Give the server its previous key (FOUNDRY_SECRET_KEY or the key file), or sign in again."


class Sealer:
    """Seals and opens text.

    Args:
        keys: key material of any length, from 16 bytes on, the newest first.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("a sealer needs at least one key")
        if any(len(key) < 16 for key in keys):
            raise ValueError("key material has at least 16 bytes")
        self._fernet = MultiFernet([Fernet(_fernet_key(key)) for key in keys])

    def seal(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def unseal(self, sealed: str) -> str:
        """The text again.

        Raises:
            WrongKey: it was sealed under another key, or changed since.
        """
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken as error:
            raise WrongKey("a stored secret was sealed under another key") from error


def _fernet_key(material: bytes) -> bytes:
    """Fernet wants 32 bytes; material of any length is hashed to them, under a name of its own."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"foundry sealing\0" + material).digest())


def load_or_create_key(path: Path) -> bytes:
    """The key in this file; a fresh one, readable by its owner alone, if there is no file yet.

    Raises:
        PermissionError: others may read the file.
        ValueError: the file holds no key.
    """
    if not path.exists():
        _create_key(path)
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"{path} can be read by others; chmod 600 {path}")
    key = path.read_bytes().strip()
    if len(key) < 16:
        raise ValueError(f"{path} holds no key")
    return key


def _create_key(path: Path) -> None:
    """Written whole beside it and linked into place, so that two first starts at once get the same key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)
