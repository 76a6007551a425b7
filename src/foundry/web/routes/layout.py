"""The frame of every page inside an organization, and the frame's live parts."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import cast

from fastapi import Request
from markupsafe import Markup

from foundry.actors.organization.views import organization_view
from foundry.actors.user_github_data.views import github_connection
from foundry.api import issues
from foundry.api.access import see
from foundry.api.auth import Me
from foundry.api.context import foundry_of
from foundry.api.roles import Deed, allowed
from foundry.api.sees import Sees
from foundry.api.snapshots import AppSnapshot, OrganizationSnapshot
from foundry.api.subscription import Subscriber, TopicEvent, TopicSnapshot
from foundry.contracts.github_access import AccessState
from foundry.contracts.ids import OrganizationId
from foundry.contracts.messages import ScopeId
from foundry.contracts.organization import IssuesChanged, IssueView, OrganizationChanged, OrganizationView
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
    known = dict(positions or {})
    if "organization" not in known:
        known["organization"] = await Subscriber(request, who, "organization", organization).position()

    def look(sees: Sees) -> page.Frame:
        shown = organization_view(sees.reader, OrganizationId(organization))
        return page.Frame(
            me=who.person,
            organization=shown,
            organizations=sees.organizations(),
            issues=issues.visible(sees, ScopeId(organization)),
            stream=f"{stream}{'&' if '?' in stream else '?'}frame={mark(shown)}",
            versions=versions(known),
            github=github_connection(sees.reader, who.person.id),
            access=sees.access_state(OrganizationId(organization)),
            sees_settings=allowed(sees, Deed.SEE_SETTINGS, organization),
        )

    return await see(foundry_of(request), who, look)


def mark(organization: OrganizationView) -> str:
    """A short hash of what the frame shows of the organization: a page's stream says which frame the page has."""
    shown = organization.model_copy(update={"public_work": False})
    return hashlib.sha256(shown.model_dump_json().encode()).hexdigest()[:8]


class Around:
    """A `Part`: the runtime issues badge, which every page has. If the frame has changed, the page is reloaded."""

    def __init__(self, request: Request, who: Me, organization: str) -> None:
        self.subscriber = Subscriber(request, who, "organization", organization)
        self._organization = organization
        self._mark = request.query_params.get("frame")
        self._runtime, self._person = foundry_of(request).runtime, who.person.id

    async def begun(self, beginning: TopicSnapshot) -> Fragments:
        return await self.frame_fragments(cast("OrganizationSnapshot", beginning.snapshot))

    async def happened(self, event: TopicEvent) -> Fragments:
        match event.word:
            case "IssuesChanged":
                return self.issue_fragments(IssuesChanged.model_validate_json(event.body).issues)
            case "OrganizationChanged":
                self.same_frame(OrganizationChanged.model_validate_json(event.body).organization)
        return ()

    async def frame_fragments(self, found: OrganizationSnapshot) -> list[tuple[str, Markup]]:
        """Return the fragments that every page has, from a fresh snapshot."""
        self.same_frame(found.organization)
        reason = ""
        if found.access is AccessState.RECONNECT:
            reason = (await self._runtime.read(github_connection, self._person)).reason
        return [
            *self.issue_fragments(found.issues),
            ("access", fragments.page.access(found.organization, found.access, reason)),
        ]

    def issue_fragments(self, found: list[IssueView]) -> list[tuple[str, Markup]]:
        return [("badge", fragments.issues.badge(self._organization, found))]

    def same_frame(self, organization: OrganizationView) -> None:
        """Raise Leave if the page shows another name, another picture, or that the App is installed when it is not."""
        if self._mark is not None and self._mark != mark(organization):
            raise Leave


class SignedIn:
    """A `Part` of pages outside an organization. It has no fragments, but closes when the person is signed out."""

    def __init__(self, request: Request, who: Me) -> None:
        self.subscriber = Subscriber(request, who, "app")

    async def begun(self, beginning: TopicSnapshot) -> Fragments:
        return ()

    async def happened(self, event: TopicEvent) -> Fragments:
        return ()


class Waiting(SignedIn):
    """The same for a person without an organization. It reloads the page when the first one appears."""

    async def begun(self, beginning: TopicSnapshot) -> Fragments:
        if cast("AppSnapshot", beginning.snapshot).organizations:
            raise Leave
        return ()


class Showing:
    """A `Show` with a fixed set of parts."""

    def __init__(self, *parts: Part) -> None:
        self._parts = parts

    async def parts(self) -> AsyncIterator[Part]:
        for part in self._parts:
            yield part
