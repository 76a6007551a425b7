"""GitHub's webhooks: the signature over the raw body, then one turn, keyed by the delivery's id."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from foundry.api.context import foundry_of
from foundry.contracts import addresses
from foundry.contracts.errors import BadInput
from foundry.contracts.github_state import delivery
from foundry.github.webhooks import verify

router = APIRouter(tags=["webhooks"])


@router.post("/api/rivet/app/webhooks/github", status_code=202)
async def github(request: Request) -> Response:
    """Take one delivery. 202 for a repeat too; nothing happens then."""
    foundry, body = foundry_of(request), await request.body()
    verify(foundry.webhook_secret, body, request.headers.get("x-hub-signature-256"))
    guid, event = request.headers.get("x-github-delivery", ""), request.headers.get("x-github-event", "")
    if not guid or not event:
        raise BadInput("a delivery names its id and its event", field="X-GitHub-Delivery")
    await foundry.runtime.ask(addresses.github_app(), delivery(guid, event, body))
    return Response(status_code=202)
