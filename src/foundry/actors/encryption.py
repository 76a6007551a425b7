"""Secrets at rest: sealed with a key that is not in the database (MultiFernet: AES-128-CBC and HMAC-SHA256).

The first key seals; every key opens, so a key is rotated by putting a new one in front, sealing everything again
(`foundry.actors.secret_keys`), and taking the old one away.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from foundry.contracts.errors import FoundryError

KEY_BYTES = 32
SHORTEST = 16  # bytes of key material


class WrongKey(FoundryError, code="wrong_secret_key", status=500):
    """The server's keys cannot decrypt a stored secret."""

    remedy = "Give the server its previous key (FOUNDRY_SECRET_KEY or the key file), or sign in again."


class SealedUnder(Enum):
    """Which of a sealer's keys opens a text."""

    NEWEST = "newest"
    OLDER = "older"
    UNKNOWN = "unknown"  # none of them


class Sealer:
    """Seals and opens text.

    Args:
        keys: key material of any length, from 16 bytes on, the newest first.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.replace(keys)

    def replace(self, keys: Sequence[bytes]) -> None:
        """Seal and open with these keys from now on."""
        if not keys:
            raise ValueError("a sealer needs at least one key")
        if any(len(key) < SHORTEST for key in keys):
            raise ValueError(f"key material has at least {SHORTEST} bytes")
        self._newest = Fernet(_fernet_key(keys[0]))
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

    def under(self, sealed: str) -> SealedUnder:
        """Return which key opens this text."""
        for fernet, key in ((self._newest, SealedUnder.NEWEST), (self._fernet, SealedUnder.OLDER)):
            with contextlib.suppress(InvalidToken):
                fernet.decrypt(sealed.encode())
                return key
        return SealedUnder.UNKNOWN


def _fernet_key(material: bytes) -> bytes:
    """Fernet wants 32 bytes; material of any length is hashed to them, under a name of its own."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"foundry sealing\0" + material).digest())


def keys_in(material: bytes, separator: bytes) -> list[bytes]:
    """The keys in FOUNDRY_SECRET_KEY (separated by commas) or in the key file (one a line), the newest first.

    Where there are several, the whole opens too, as the last one: for release 0.3 it was one key.

    Raises:
        ValueError: a key is too short.
    """
    keys = [key for part in material.split(separator) if (key := part.strip())]
    if len(keys) < 2:
        return [material]
    if any(len(key) < SHORTEST for key in keys):
        raise ValueError(f"each of several keys has at least {SHORTEST} bytes")
    return [*keys, material]


def load_or_create_key(path: Path) -> bytes:
    """What is in the key file, for `keys_in`; a fresh key, readable by its owner alone, if there is no file yet.

    Raises:
        PermissionError: others may read the file.
        ValueError: the file holds no key.
    """
    if not path.exists():
        _create_key(path)
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"{path} can be read by others; chmod 600 {path}")
    key = path.read_bytes().strip()
    if len(key) < SHORTEST:
        raise ValueError(f"{path} holds no key")
    return key


def put_key_in_front(path: Path) -> bytes:
    """Add a fresh key to the key file, as its first line. Return what is in the file now."""
    return _write_key(path, _fresh_key() + b"\n" + load_or_create_key(path) + b"\n")


def drop_old_keys(path: Path) -> bytes:
    """Leave only the newest key in the key file. Return what is in the file now."""
    return _write_key(path, keys_in(load_or_create_key(path), b"\n")[0] + b"\n")


def _fresh_key() -> bytes:
    return base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES))


def _write_key(path: Path, content: bytes) -> bytes:
    """Replace the file at once: after a crash it has the old content or the new."""
    beside = _written_beside(path, content)
    try:
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    _sync_directory(path.parent)
    return load_or_create_key(path)


def _create_key(path: Path) -> None:
    """Written whole beside it and linked into place, so that two first starts at once get the same key."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    beside = _written_beside(path, _fresh_key() + b"\n")
    try:
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def _written_beside(path: Path, content: bytes) -> Path:
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return beside


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
