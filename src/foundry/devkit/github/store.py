"""The stand-in's storage: documents by kind and key in SQLite, so that a kill loses nothing."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

Doc = dict[str, Any]

CACHED = frozenset({"user", "org", "team", "installation", "repo"})  # kinds that lists read whole, with every request


def now() -> str:
    """Format a time like GitHub."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Store:
    """The documents. Every write is committed before it returns, or at the end of its transaction."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / "github.db"
        path.touch(mode=0o600)  # it contains tokens
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._lock = threading.RLock()
        self._seen: dict[str, dict[str, Doc]] = {}  # the cached kinds, by key, the oldest first
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS docs (kind TEXT, key TEXT, body TEXT, PRIMARY KEY (kind, key))")

    def get(self, kind: str, key: object) -> Doc | None:
        """Return a document. Replace its values, and never change them in place: they may be shared."""
        with self._lock:
            if kind in CACHED:
                found = self._cached(kind).get(str(key))
                return None if found is None else dict(found)
            row = self._db.execute("SELECT body FROM docs WHERE kind=? AND key=?", (kind, str(key))).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, kind: str, key: object, body: Doc) -> Doc:
        """Store a document. An existing document keeps its place in `all`."""
        upsert = "INSERT INTO docs VALUES (?,?,?) ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body"
        text = json.dumps(body)
        with self._lock:
            self._db.execute(upsert, (kind, str(key), text))
            if kind in CACHED:
                self._cached(kind)[str(key)] = json.loads(text)
        return body

    def remove(self, kind: str, key: object) -> None:
        with self._lock:
            self._db.execute("DELETE FROM docs WHERE kind=? AND key=?", (kind, str(key)))
            if kind in CACHED:
                self._cached(kind).pop(str(key), None)

    def rekey(self, kind: str, old: object, new: object) -> None:
        """Give a document another key. It keeps its place."""
        with self._lock:
            self._db.execute("UPDATE docs SET key=? WHERE kind=? AND key=?", (str(new), kind, str(old)))
            self._seen.pop(kind, None)

    def all(self, kind: str) -> list[Doc]:
        """Return all documents of a kind, the oldest first."""
        with self._lock:
            if kind in CACHED:
                return [dict(body) for body in self._cached(kind).values()]
            rows = self._db.execute("SELECT body FROM docs WHERE kind=? ORDER BY rowid", (kind,)).fetchall()
        return [json.loads(row[0]) for row in rows]

    def keys(self, kind: str) -> list[str]:
        with self._lock:
            return [row[0] for row in self._db.execute("SELECT key FROM docs WHERE kind=? ORDER BY rowid", (kind,))]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit several changes together, or none of them."""
        with self._lock:
            self._db.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                self._seen.clear()
                raise
            self._db.execute("COMMIT")

    def _cached(self, kind: str) -> dict[str, Doc]:
        if kind not in self._seen:
            rows = self._db.execute("SELECT key, body FROM docs WHERE kind=? ORDER BY rowid", (kind,))
            self._seen[kind] = {key: json.loads(body) for key, body in rows}
        return self._seen[kind]

    def next(self, counter: str) -> int:
        """Return the next number of this counter, starting at 1."""
        with self._lock:
            number = (self.get("counter", counter) or {"n": 0})["n"] + 1
            self.put("counter", counter, {"n": number})
        return number

    def app(self) -> Doc:
        """Return the sample App's identity, created on first use."""
        made = self.get("app", "app")
        if made is None:
            key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
            pem = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            )
            public = key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            made = {
                "app_id": "5001",
                "client_id": "Iv23li" + secrets.token_hex(7),
                "client_secret": secrets.token_hex(20),
                "webhook_secret": secrets.token_hex(20),
                "private_key": pem.decode(),
                "public_key": public.decode(),
            }
            self.put("app", "app", made)
        return made
