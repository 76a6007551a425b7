"""A repository's page: its tasks and its history."""

from __future__ import annotations

import asyncio
from typing import Annotated, cast

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from foundry.api import access, organizations
from foundry.api.auth import Me, Signed
from foundry.api.snapshots import RepositorySnapshot
from foundry.api.subscription import Subscriber, TopicEvent, TopicSnapshot
from foundry.web import fragments
from foundry.web import pages as page
from foundry.web.live import Fragments, Leave, stream
from foundry.web.responses import html
from foundry.web.routes.layout import Around, Showing, frame
from foundry.web.routes.organizations import row

ENTRIES = 50  # history entries on one page

router = APIRouter()


@router.get("/repositories/{repository}")
async def shown(
    request: Request,
    who: Signed,
    repository: str,
    archived: bool = False,
    before: Annotated[int | None, Query(ge=0, le=organizations.LARGE)] = None,
) -> Response:
    """Show the repository's tasks and its history."""
    found = await access.repository_of(request, who, repository)
    at = await Subscriber(request, who, "repository", repository).position()
    listed = await organizations.repository_tasks(request, who, repository, archived=archived)
    history = await organizations.history(request, who, repository, before, ENTRIES)
    live = f"/live/repositories/{repository}" + ("?archived=1" if archived else "")
    around = await frame(request, who, found.organization, live, {"repository": at})
    older = history[-1].number if len(history) == ENTRIES else None
    return html(
        await asyncio.to_thread(page.repository, around, found, listed, history, archived=archived, older=older)
    )


@router.get("/live/repositories/{repository}")
async def live(request: Request, who: Signed, repository: str, archived: bool = False, have: str = "") -> Response:
    """Stream the changes of the repository's page."""
    found = await access.repository_of(request, who, repository)
    parts = Around(request, who, found.organization), RepositoryTasks(request, who, repository, archived=archived)
    return stream(request, "repository page", Showing(*parts), have)


class RepositoryTasks:
    """The repository's list of tasks, open or archived."""

    def __init__(self, request: Request, who: Me, repository: str, *, archived: bool) -> None:
        self.subscriber = Subscriber(request, who, "repository", repository)
        self._archived = archived

    async def begun(self, beginning: TopicSnapshot) -> Fragments:
        if self._archived:
            raise Leave
        found = cast("RepositorySnapshot", beginning.snapshot)
        return [("tasks", fragments.tasks.task_list(found.tasks, archived=False))]

    async def happened(self, event: TopicEvent) -> Fragments:
        return row(event, archived=self._archived) if event.word == "TaskListed" else ()
