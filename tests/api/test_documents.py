"""The API describes itself, says whether it is well, and counts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.api.edge import Edge
from tests.api.problems import problem

API_MD = Path(__file__).parents[2] / "docs" / "api.md"


async def test_every_route_has_an_answer_and_a_problem_in_openapi(edge: Edge):
    async with edge.client() as anybody:
        document = (await anybody.get("/openapi.json")).json()
        assert (await anybody.get("/docs")).status_code == 200
    assert "HTTPValidationError" not in str(document)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            where = f"{method} {path}"
            assert list(responses["default"]["content"]) == ["application/problem+json"], where
            good = next(code for code in responses if code.startswith(("2", "3")))
            if path.startswith("/api/") and not path.endswith(("/realtime", "/patch")) and good != "204":
                assert responses[good]["content"]["application/json"]["schema"], where
            assert operation.get("description"), f"{where} says nothing of itself"


async def test_every_route_is_in_the_document(edge: Edge):
    async with edge.client() as anybody:
        document = (await anybody.get("/openapi.json")).json()
    text = API_MD.read_text()
    for path, operations in document["paths"].items():
        for method in operations:
            pattern = rf"`{method.upper()} {re.escape(path)}[`?\[]"
            assert re.search(pattern, text), f"docs/api.md does not explain {method.upper()} {path}"


async def test_health_is_said(edge: Edge, monkeypatch: pytest.MonkeyPatch):
    async with edge.client() as anybody:
        assert (await anybody.get("/healthz")).json() == {"status": "ok"}
        assert (await anybody.get("/readyz")).json() == {"status": "ready"}
        monkeypatch.setattr(edge.runtime, "stuck", lambda: "a turn hangs at line 7")
        assert "line 7" in problem(await anybody.get("/healthz"), 503, "stuck")["detail"]


async def test_metrics_count(edge: Edge):
    async with edge.client() as anybody:
        await anybody.get("/healthz")
        await edge.deliver(b"{}")
        text = (await anybody.get("/metrics")).text
    assert 'foundry_http_requests_total{method="GET",route="/healthz",status="200"} 1.0' in text
    assert 'foundry_webhook_deliveries_total{event="ping",new="true"} 1.0' in text
    assert 'foundry_actors{kind="Repository"} 2.0' in text
    assert 'foundry_mailbox_messages{state="set_aside"} 0.0' in text
