"""The frame of every page inside an organization, and the frame's live parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import cast

from fastapi import Request
from markupsafe import Markup

from foundry.actors.organization.views import organization_view
from foundry.actors.user_github_data.views import github_connection
from foundry.api import access, issues
from foundry.api.auth import Me
from foundry.api.context import foundry_of
from foundry.api.snapshots import OrganizationSnapshot
from foundry.api.subscription import Subscriber, TopicEvent, TopicSnapshot
from foundry.contracts.ids import OrganizationId
from foundry.contracts.messages import ScopeId
from foundry.contracts.organization import IssuesChanged, IssueView, OrganizationChanged
from foundry.web import fragments
from foundry.web import pages as page
from foundry.web.live import Fragments, Leave, Part, versions


async def frame(
    request: Request, who: Me, organization: str, stream: str, positions: Mapping[str, str] | None = None
) -> page.Frame:
    """Return the frame of a live page.

    Args:
        stream: the address of the page's live stream.
        positions: the topic positions that the page already shows, read earlier.
    """
    foundry, known = foundry_of(request), dict(positions or {})
    if "organization" not in known:
        known["organization"] = await Subscriber(request, who, "organization", organization).position()
    return page.Frame(
        me=who.person,
        organization=await foundry.runtime.read(organization_view, OrganizationId(organization)),
        organizations=await access.seen_organizations(foundry, who),
        issues=await issues.visible(foundry, who, ScopeId(organization)),
        stream=stream,
        versions=versions(known),
        github=await foundry.runtime.read(github_connection, who.person.id),
    )


class Around:
    """A `Part`: the runtime issues badge, which every page has."""

    def __init__(self, request: Request, who: Me, organization: str) -> None:
        self.subscriber = Subscriber(request, who, "organization", organization)
        self._organization = organization

    async def begun(self, beginning: TopicSnapshot) -> Fragments:
        return self.issue_fragments(cast("OrganizationSnapshot", beginning.snapshot).issues)

    async def happened(self, event: TopicEvent) -> Fragments:
        match event.word:
            case "IssuesChanged":
                return self.issue_fragments(IssuesChanged.model_validate_json(event.body).issues)
            case "OrganizationChanged":
                self.renamed(OrganizationChanged.model_validate_json(event.body))
        return ()

    def issue_fragments(self, found: list[IssueView]) -> list[tuple[str, Markup]]:
        return [("badge", fragments.issues.badge(self._organization, found))]

    def renamed(self, event: OrganizationChanged) -> None:
        """Reload the page, because its frame has changed."""
        raise Leave


class Showing:
    """A `Show` with a fixed set of parts."""

    def __init__(self, *parts: Part) -> None:
        self._parts = parts

    async def parts(self) -> AsyncIterator[Part]:
        for part in self._parts:
            yield part
