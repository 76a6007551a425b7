"""One way to look at a refusal."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx


def problem(answer: httpx.Response, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    """The problem this answer is; fails if it is another, or not whole."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found["code"] == code, found
    assert found["status"] == status
    assert found["remedy"]
    assert found["detail"]
    assert found["title"]
    assert found["type"] == f"urn:foundry:error:{code}"
    assert found["field"] == field, found
    return found
