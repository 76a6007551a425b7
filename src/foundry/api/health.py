"""Whether it lives, whether it may get requests, and what it counts."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from foundry.actors.organization.views import organizations
from foundry.api.context import foundry_of
from foundry.api.errors import NotReady, Stuck

router = APIRouter(tags=["health"])


@router.get("/healthz")
async def healthz(request: Request) -> dict[str, str]:
    """503 with the stack if a turn hangs for over 5 s."""
    hangs = foundry_of(request).runtime.stuck()
    if hangs:
        raise Stuck(hangs)
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> dict[str, str]:
    """503 while it starts or stops, or its database is away."""
    foundry = foundry_of(request)
    if not foundry.ready or foundry.closing.is_set():
        raise NotReady("the server is starting or stopping")
    await foundry.runtime.read(organizations)
    return {"status": "ready"}


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    return Response(generate_latest(foundry_of(request).metrics.registry), media_type=CONTENT_TYPE_LATEST)
