"""The start page, an organization's tasks, and the form for a new task."""

from __future__ import annotations

import asyncio
import secrets
from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from foundry.api import access, tasks
from foundry.api.auth import Me, Signed, find_me
from foundry.api.context import foundry_of
from foundry.api.errors import SignedOut
from foundry.api.problems import Problem, problem
from foundry.api.sees import Sees
from foundry.api.sign_in import local_path
from foundry.api.snapshots import OrganizationSnapshot
from foundry.api.subscription import Subscriber, TopicEvent, TopicSnapshot
from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import OrganizationId
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import TaskListed, TaskState
from foundry.web import fragments
from foundry.web import pages as page
from foundry.web.live import Fragments, Leave, stream
from foundry.web.responses import Form, filled, form_of, html
from foundry.web.routes.layout import Around, Showing, Waiting, frame

router = APIRouter()


@router.get("/")
async def start(request: Request, next: str = "/") -> Response:
    """Redirect to the first organization, or show the sign-in page or the instructions for having no organization."""
    try:
        who = await find_me(request)
    except SignedOut as over:
        return html(page.start(None, local_path(next), over.detail))
    if who is None:
        return html(page.start(None, local_path(next)))
    seen = await access.see(foundry_of(request), who, lambda sees: sees.organizations())
    return RedirectResponse(f"/organizations/{seen[0].id}", 303) if seen else html(page.start(who.person))


@router.get("/live/start")
async def live_start(request: Request, who: Signed, have: str = "") -> Response:
    """Wait until the person has an organization, or is signed out."""
    return stream(request, "start page", Showing(Waiting(request, who)), have)


@router.get("/organizations/{organization}")
async def shown(request: Request, who: Signed, organization: str, archived: bool = False) -> Response:
    """Show the organization's tasks."""
    subscriber = Subscriber(request, who, "organization", organization)
    if archived:
        at = await subscriber.position()
        listed = await tasks.listed(request, organization, archived=True)
    else:
        begun = await subscriber.snapshot()
        at, listed = begun.position, cast("OrganizationSnapshot", begun.snapshot).tasks
    live = f"/live/organizations/{organization}" + ("?archived=1" if archived else "")
    around = await frame(request, who, organization, live, {"organization": at})
    return html(await asyncio.to_thread(page.organization, around, listed, archived=archived))


@router.get("/live/organizations/{organization}")
async def live(request: Request, who: Signed, organization: str, archived: bool = False, have: str = "") -> Response:
    """Stream the changes of the organization's page."""
    part = Tasks(request, who, organization, archived=archived)
    await part.subscriber.look()
    return stream(request, "organization page", Showing(part), have)


class Tasks(Around):
    """The list of tasks, open or archived."""

    def __init__(self, request: Request, who: Me, organization: str, *, archived: bool) -> None:
        super().__init__(request, who, organization)
        self._archived = archived

    async def begun(self, beginning: TopicSnapshot) -> Fragments:
        if self._archived:
            raise Leave
        found = cast("OrganizationSnapshot", beginning.snapshot)
        return [*await self.frame_fragments(found), ("tasks", fragments.tasks.task_list(found.tasks, archived=False))]

    async def happened(self, event: TopicEvent) -> Fragments:
        if event.word == "TaskListed":
            return row(event, archived=self._archived)
        return await super().happened(event)


def row(event: TopicEvent, *, archived: bool) -> Fragments:
    """Return the fragment that updates a task list after a change of one task."""
    task = TaskListed.model_validate_json(event.body).task
    here = (task.state is TaskState.ARCHIVED) == archived
    return [(task.id, fragments.tasks.row(task) if here else fragments.page.gone(f"task-{task.id}"))]


# A new task


@router.get("/organizations/{organization}/new")
async def new(
    request: Request,
    who: Signed,
    organization: str,
    repository: str = "",
    from_task: str = "",
    from_checkpoint: str = "",
) -> Response:
    """Show the form for a new task."""
    foundry = foundry_of(request)
    typed = page.Typed(
        repository=repository,
        agent=foundry.default_agent,
        auto_publish=foundry.auto_publish,
        from_task=from_task,
        from_checkpoint=from_checkpoint,
    )
    return await _form(request, who, organization, typed, secrets.token_urlsafe(16))


@router.post("/organizations/{organization}/tasks")
async def create(request: Request, who: Signed, organization: str) -> Response:
    """Create the task and redirect to its page. After a refusal, show the form again with its input."""
    form = await form_of(request)
    key, chosen = form.get("key") or secrets.token_urlsafe(16), form.get("from_checkpoint")
    try:
        wish = filled(
            tasks.NewTask,
            **{name: form.get(name) for name in ("repository", "prompt", "title", "branch", "base", "agent")},
            auto_publish="auto_publish" in form,
            checkpoint={"task": form.get("from_task", ""), "id": chosen} if chosen else None,
        )
        task = await tasks.open_task(foundry_of(request), who, OrganizationId(organization), wish, key)
    except FoundryError as error:
        again = key if error.status >= 500 else secrets.token_urlsafe(16)
        return await _form(request, who, organization, _typed(form), again, problem(error))
    return RedirectResponse(f"/tasks/{task.id}", 303)


def _typed(form: Form) -> page.Typed:
    names = ("repository", "prompt", "title", "branch", "base", "agent", "from_task", "from_checkpoint")
    return page.Typed(**{name: form.get(name, "") for name in names}, auto_publish="auto_publish" in form)


async def _form(
    request: Request, who: Me, organization: str, typed: page.Typed, key: str, refusal: Problem | None = None
) -> Response:
    foundry = foundry_of(request)

    def look(sees: Sees) -> list[RepositoryRef]:
        return sees.repositories(sees.organization(organization).id, writable=True)

    may = await access.see(foundry, who, look)
    around = await frame(request, who, organization, f"/live/organizations/{organization}/frame")
    shown = page.new_task(around, may, foundry.agents, typed, key, refusal)
    return html(shown, refusal.status if refusal else 200)


@router.get("/live/organizations/{organization}/frame")
async def live_frame(request: Request, who: Signed, organization: str, have: str = "") -> Response:
    """Stream the frame's changes, for a page without live content of its own."""
    part = Around(request, who, organization)
    await part.subscriber.look()
    return stream(request, "other page", Showing(part), have)
