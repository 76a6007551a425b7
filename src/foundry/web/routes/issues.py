"""Runtime issues: the list behind the badge, and the actions on each issue (R19, R20)."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup

from foundry.api import access
from foundry.api import issues as edge
from foundry.api.auth import Me, Signed
from foundry.api.context import foundry_of
from foundry.api.snapshots import AppSnapshot
from foundry.api.subscription import Subscriber, TopicEvent, TopicSnapshot
from foundry.contracts.messages import APP, ScopeId
from foundry.contracts.organization import IssuesChanged, IssueView
from foundry.web import fragments
from foundry.web import pages as page
from foundry.web.live import Fragments, stream
from foundry.web.responses import Form, done, form_of, html
from foundry.web.routes.layout import Around, Showing, frame

router = APIRouter()


@router.get("/organizations/{organization}/issues")
async def shown(request: Request, who: Signed, organization: str) -> Response:
    """Show the runtime issues page."""
    at = await Subscriber(request, who, "app").position()
    server = await access.see(foundry_of(request), who, lambda sees: edge.visible(sees, APP))
    around = await frame(request, who, organization, f"/live/organizations/{organization}/issues", {"app": at})
    return html(page.issues(around, server))


@router.get("/live/organizations/{organization}/issues")
async def live(request: Request, who: Signed, organization: str, have: str = "") -> Response:
    """Stream the changes of the runtime issues page."""
    parts = Issues(request, who, organization), ServerIssues(request, who, organization)
    await parts[0].subscriber.look()
    return stream(request, "issues page", Showing(*parts), have)


class Issues(Around):
    """The badge and the organization's issue list."""

    def issue_fragments(self, found: list[IssueView]) -> list[tuple[str, Markup]]:
        return [
            *super().issue_fragments(found),
            ("issues", fragments.issues.issue_list(self._organization, "organization", found)),
        ]


class ServerIssues:
    """The list of the server's own issues."""

    def __init__(self, request: Request, who: Me, organization: str) -> None:
        self.subscriber = Subscriber(request, who, "app")
        self._organization = organization

    async def begun(self, beginning: TopicSnapshot) -> Fragments:
        return self._list(cast("AppSnapshot", beginning.snapshot).issues)

    async def happened(self, event: TopicEvent) -> Fragments:
        if event.word != "IssuesChanged":
            return ()
        return self._list(IssuesChanged.model_validate_json(event.body).issues)

    def _list(self, found: list[IssueView]) -> Fragments:
        return [("server issues", fragments.issues.issue_list(self._organization, "app", found))]


@router.post("/organizations/{organization}/issues/clear")
async def clear(request: Request, who: Signed, organization: str) -> Response:
    """Clear one issue, or all issues that the person may clear."""
    form = await form_of(request)
    await edge.clear(foundry_of(request), who, await _scope(request, who, organization, form), form.get("issue"))
    return done(request, f"/organizations/{organization}/issues")


@router.post("/organizations/{organization}/issues/{issue}/retry")
async def retry(request: Request, who: Signed, organization: str, issue: str) -> Response:
    """Retry the message that was set aside."""
    return await _settle(request, who, organization, issue, again=True)


@router.post("/organizations/{organization}/issues/{issue}/drop")
async def drop(request: Request, who: Signed, organization: str, issue: str) -> Response:
    """Drop the message that was set aside."""
    return await _settle(request, who, organization, issue, again=False)


async def _settle(request: Request, who: Me, organization: str, issue: str, *, again: bool) -> Response:
    scope = await _scope(request, who, organization, await form_of(request))
    await edge.settle(foundry_of(request), who, scope, issue, again=again)
    return done(request, f"/organizations/{organization}/issues")


async def _scope(request: Request, who: Me, organization: str, form: Form) -> ScopeId:
    await access.see(foundry_of(request), who, lambda sees: sees.organization(organization))
    return APP if form.get("scope") == "app" else ScopeId(organization)
