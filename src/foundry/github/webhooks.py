"""Webhook signatures: HMAC-SHA256 over the raw body, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac

from foundry.github.errors import BadSignature


def signature(secret: str, body: bytes) -> str:
    """Compute the value of GitHub's `X-Hub-Signature-256` header."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify(secret: str, body: bytes, header: str | None) -> None:
    """Require that the header is the body's signature with our secret.

    Raises:
        BadSignature: the signature is missing or does not match.
    """
    if not secret:
        raise BadSignature("no webhook secret is configured, so every delivery is refused")
    if not header or not hmac.compare_digest(signature(secret, body).encode(), header.encode()):
        raise BadSignature("the delivery's signature does not match its body", field="X-Hub-Signature-256")
