"""Webhook signatures: HMAC-SHA256 over the raw body, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac

from foundry.github.errors import BadSignature


def signature(secret: str, body: bytes) -> str:
    """What GitHub puts into `X-Hub-Signature-256`."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify(secret: str, body: bytes, header: str | None) -> None:
    """Let the body pass if the header was made from it with our secret.

    Raises:
        BadSignature: it was not, or there is none.
    """
    if not secret:
        raise BadSignature("no webhook secret is configured, so no delivery is trusted")
    if not header or not hmac.compare_digest(signature(secret, body).encode(), header.encode()):
        raise BadSignature("the delivery's signature does not match its body", field="X-Hub-Signature-256")
