"""Health, readiness and metrics."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST

from foundry.actors.organization.views import organizations
from foundry.api.context import foundry_of
from foundry.api.errors import NotReady, Stuck
from foundry.contracts.messages import Model

DATABASE_LIMIT = 2.0  # seconds

router = APIRouter(tags=["health"])


class Health(Model):
    status: str


@router.get("/healthz")
async def healthz(request: Request) -> Health:
    """Return 503 with the stack if a turn hangs for over 5 s."""
    hangs = foundry_of(request).runtime.stuck()
    if hangs:
        raise Stuck(hangs)
    return Health(status="ok")


@router.get("/readyz")
async def readyz(request: Request) -> Health:
    """Return 503 while the server starts or stops, or its database does not answer."""
    foundry = foundry_of(request)
    if foundry.closing.is_set():
        raise NotReady("the server is starting or stopping")
    try:
        async with asyncio.timeout(DATABASE_LIMIT):
            await foundry.runtime.read(organizations)
    except TimeoutError:
        raise NotReady(f"the database did not answer within {DATABASE_LIMIT:g} s") from None
    return Health(status="ready")


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Metrics for Prometheus."""
    foundry = foundry_of(request)
    return Response(await foundry.metrics.text(foundry.runtime), media_type=CONTENT_TYPE_LATEST)
