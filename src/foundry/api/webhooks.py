"""GitHub's webhooks: the signature over the raw body, then one turn, which knows a delivery's id again."""

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
    """`new` is false for a delivery that had come before; nothing happened then."""

    delivery: str
    new: bool


@router.post("/api/rivet/app/webhooks/github", status_code=202)
async def github(
    request: Request,
    signature: Annotated[str | None, Header(alias="X-Hub-Signature-256")] = None,
    guid: Annotated[str, Header(alias="X-GitHub-Delivery", max_length=200)] = "",
    event: Annotated[str, Header(alias="X-GitHub-Event", max_length=100)] = "",
) -> Taken:
    """Take one delivery of the GitHub App's; what it implies follows in the background."""
    foundry, body = foundry_of(request), await request.body()
    verify(foundry.webhook_secret, body, signature)
    for name, value in (("X-GitHub-Delivery", guid), ("X-GitHub-Event", event)):
        if not value:
            raise BadInput(f"a delivery has the header {name}", field=name)
    new = await foundry.runtime.ask(addresses.github_app(), delivery(guid, event, body))
    foundry.metrics.deliveries.labels(event, str(new).lower()).inc()
    return Taken(delivery=guid, new=new)
