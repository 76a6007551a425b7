"""GitHub's webhooks: check the signature over the raw body, then run one turn, which recognises repeated deliveries."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Request

from foundry.api.context import foundry_of
from foundry.contracts import addresses
from foundry.contracts.errors import BadInput
from foundry.contracts.github_state import delivery
from foundry.contracts.messages import Model
from foundry.github.webhooks import verify

router = APIRouter(tags=["webhooks"])


class Taken(Model):
    """`new` is false for a repeated delivery, which has no effect."""

    delivery: str
    new: bool


@router.post("/api/rivet/app/webhooks/github", status_code=202)
async def github(
    request: Request,
    signature: Annotated[str | None, Header(alias="X-Hub-Signature-256")] = None,
    guid: Annotated[str, Header(alias="X-GitHub-Delivery", max_length=200)] = "",
    event: Annotated[str, Header(alias="X-GitHub-Event", max_length=100)] = "",
) -> Taken:
    """Accept one delivery of the GitHub App. Its effects follow in the background."""
    foundry, body = foundry_of(request), await request.body()
    verify(foundry.webhook_secret, body, signature)
    for name, value in (("X-GitHub-Delivery", guid), ("X-GitHub-Event", event)):
        if not value:
            raise BadInput(f"the delivery has no {name} header", field=name)
    new = await foundry.runtime.ask(addresses.github_app(), delivery(guid, event, body))
    foundry.metrics.deliveries.labels(event, str(new).lower()).inc()
    return Taken(delivery=guid, new=new)
