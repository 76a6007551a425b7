"""A task's page: its phases, sessions, changes and sandbox, and the actions on the task."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import cast

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from markupsafe import Markup

from foundry.actors.task.views import checkpoint_list, task_diff
from foundry.api import access, checkpoints, sandboxes, tasks
from foundry.api.auth import Me, Signed
from foundry.api.context import foundry_of
from foundry.api.sessions import SessionSnapshot
from foundry.api.snapshots import SandboxSnapshot, TaskSnapshot
from foundry.api.subscription import Subscriber, TopicEvent, TopicSnapshot
from foundry.contracts import addresses
from foundry.contracts.errors import NotFound
from foundry.contracts.ids import SandboxId, SessionId
from foundry.contracts.sandbox_instance import SandboxChanged, SandboxView
from foundry.contracts.task import TaskChanged, TaskView
from foundry.contracts.task_checkpoints import CheckpointView
from foundry.contracts.task_session import Entry, EntryChanged, MessageDelta, SessionChanged, SessionStatus, SessionView
from foundry.web import fragments
from foundry.web import pages as page
from foundry.web.live import Fragments, Part, stream
from foundry.web.responses import by_script, done, filled, form_of, html
from foundry.web.routes.layout import Around, frame

router = APIRouter()


@router.get("/tasks/{task}")
async def shown(request: Request, who: Signed, task: str, session: str = "") -> Response:
    """Show the task with the requested session, or with its active session."""
    return await _page(request, who, task, session or None)


@router.get("/tasks/{task}/changes")
async def changes(request: Request, who: Signed, task: str) -> Response:
    """Show the task with its branch's whole diff."""
    return await _page(request, who, task, page.CHANGES)


async def _page(request: Request, who: Me, task: str, wanted: str | None) -> Response:
    foundry = foundry_of(request)
    subscriber = Subscriber(request, who, "task", task, writes=True)
    begun = await subscriber.snapshot()
    view, positions = cast("TaskSnapshot", begun.snapshot).task, {"task": begun.position}

    session = None if wanted == page.CHANGES else _session(view, wanted)
    talk = None
    if session is not None:
        conversation = await Subscriber(request, who, "session", session, writes=True).snapshot()
        positions["session"] = conversation.position
        found = cast("SessionSnapshot", conversation.snapshot)
        talk = page.Talk(found.session, found.transcript, secrets.token_urlsafe(16), found.mine.draft)

    sandbox: SandboxView | None = None
    if view.sandbox is not None and await _exists(request, view.sandbox):
        box = await Subscriber(request, who, "sandbox", view.sandbox, writes=True).snapshot()
        positions["sandbox"] = box.position
        sandbox = cast("SandboxSnapshot", box.snapshot).sandbox

    runtime = foundry.runtime
    work = await runtime.read(task_diff, view.id) if session is None else None
    listed = await runtime.read(checkpoint_list, view.id)
    live = f"/live/tasks/{task}" + (f"?session={session}" if session else "")
    around = await frame(request, who, view.repository.organization, live, positions)
    return html(
        await asyncio.to_thread(
            page.task,
            around,
            view,
            sandbox,
            talk,
            checkpoints=listed,
            work=work,
            agents=foundry.agents,
            may_write=subscriber.may_write,
        )
    )


def _session(task: TaskView, wanted: str | None) -> SessionId | None:
    """Return the task's session to show.

    Raises:
        NotFound: the task has no such session.
    """
    if wanted is None:
        return task.active_session or (task.sessions[0].id if task.sessions else None)
    if wanted not in {one.id for one in task.sessions}:
        raise NotFound(f"the task has no session with id {wanted}", field="session")
    return SessionId(wanted)


async def _exists(request: Request, sandbox: SandboxId) -> bool:
    return await foundry_of(request).runtime.read(lambda reader: reader.exists(addresses.sandbox(sandbox)))


@router.get("/live/tasks/{task}")
async def live(request: Request, who: Signed, task: str, session: str = "", have: str = "") -> Response:
    """Stream the changes of the task's page."""
    show = TaskPage(request, who, await access.task_of(request, who, task), session or None)
    return stream(request, "task page", show, have)


class TaskPage:
    """A `Show`: one task with one of its sessions, or with its changes."""

    def __init__(self, request: Request, who: Me, task: TaskView, session: str | None) -> None:
        self.request, self.who, self.task = request, who, task
        self.selected = session or page.CHANGES
        self._standing: list[Part] = [Around(request, who, task.repository.organization), TaskPart(self)]
        if session is not None:
            self._standing.append(SessionPart(request, who, session))
        self._sandbox: SandboxPart | None = None

    async def parts(self) -> AsyncIterator[Part]:
        for part in self._standing:
            yield part
        there, box = self.task.sandbox, self._sandbox
        if there is not None and (box is None or box.id != there) and await _exists(self.request, there):
            self._sandbox = SandboxPart(self.request, self.who, there)
        if self._sandbox is not None:
            yield self._sandbox


class TaskPart:
    """The parts of the page that show the task itself."""

    def __init__(self, page: TaskPage) -> None:
        self.subscriber = Subscriber(page.request, page.who, "task", page.task.id, writes=True)
        self._page = page
        self._listed: tuple[int, list[CheckpointView]] = 0, []  # the checkpoints up to this number

    async def begun(self, beginning: TopicSnapshot) -> Fragments:
        return await self._all(cast("TaskSnapshot", beginning.snapshot).task)

    async def happened(self, event: TopicEvent) -> Fragments:
        return await self._all(TaskChanged.model_validate_json(event.body).task) if event.word == "TaskChanged" else ()

    async def _all(self, task: TaskView) -> Fragments:
        self._page.task = task
        may, selected = self.subscriber.may_write, self._page.selected
        read = foundry_of(self._page.request).runtime.read
        if self._listed[0] != task.checkpoint:
            self._listed = task.checkpoint, await read(checkpoint_list, task.id)
        found = [
            ("task head", fragments.task.head(task, may_write=may)),
            ("phases", fragments.task.phases(task, may_write=may)),
            ("tabs", fragments.task.tabs(task, selected, may_write=may, agents=foundry_of(self._page.request).agents)),
            ("work", fragments.task.work(task, may_write=may)),
            ("checkpoints", fragments.checkpoints.checkpoint_list(task, self._listed[1], may_write=may)),
        ]
        if selected == page.CHANGES:
            found.append(
                ("changes", await asyncio.to_thread(fragments.task.changes, task, await read(task_diff, task.id)))
            )
        return found


class SessionPart:
    """The session: its transcript, its status and its buttons."""

    def __init__(self, request: Request, who: Me, session: str) -> None:
        self.subscriber = Subscriber(request, who, "session", session, writes=True)
        self._session = session

    async def begun(self, beginning: TopicSnapshot) -> Fragments:
        found, may = cast("SessionSnapshot", beginning.snapshot), self.subscriber.may_write
        transcript = await asyncio.to_thread(fragments.transcript.whole, self._session, found.transcript, may_write=may)
        box = fragments.session.composer(self._session, secrets.token_urlsafe(16))  # an existing box stays unchanged
        return [("transcript", transcript), ("message box", box), *self._state(found.session)]

    async def happened(self, event: TopicEvent) -> Fragments:
        may = self.subscriber.may_write
        match event.word:
            case "SessionChanged":
                return self._state(SessionChanged.model_validate_json(event.body).session)
            case "EntryChanged":
                entry = EntryChanged.model_validate_json(event.body).entry
                return [(entry.id, fragments.transcript.entry(self._session, entry, may_write=may))]
            case "MessageDelta":
                said = MessageDelta.model_validate_json(event.body)
                if said.offset:
                    return [
                        (
                            f"{said.entity}+{said.offset}",
                            fragments.transcript.delta(said.entity, said.offset, said.text),
                        )
                    ]
                begun = Entry(
                    id=said.entity, position=said.position, kind=said.kind, text=said.text, complete=False, at=said.at
                )
                return [(begun.id, fragments.transcript.entry(self._session, begun, may_write=may))]
        return ()

    def _state(self, session: SessionView) -> list[tuple[str, Markup]]:
        found = [("state", fragments.session.state(session, may_write=self.subscriber.may_write))]
        if session.status is SessionStatus.CLOSED or not self.subscriber.may_write:
            found.append(("message box", fragments.page.gone("composer")))
        return found


class SandboxPart:
    """The sandbox's card."""

    def __init__(self, request: Request, who: Me, id: SandboxId) -> None:
        self.subscriber = Subscriber(request, who, "sandbox", id, writes=True)
        self.id = id

    async def begun(self, beginning: TopicSnapshot) -> Fragments:
        return self._card(cast("SandboxSnapshot", beginning.snapshot).sandbox)

    async def happened(self, event: TopicEvent) -> Fragments:
        if event.word != "SandboxChanged":
            return ()
        return self._card(SandboxChanged.model_validate_json(event.body).sandbox)

    def _card(self, sandbox: SandboxView) -> Fragments:
        return [("sandbox", fragments.sandbox.card(sandbox, may_write=self.subscriber.may_write))]


# Actions


@router.post("/tasks/{task}/publish")
async def publish(request: Request, who: Signed, task: str) -> Response:
    """Push the branch and open the pull request."""
    await tasks.publish(request, who, task)
    return done(request, f"/tasks/{task}")


@router.post("/tasks/{task}/branch")
async def rename_branch(request: Request, who: Signed, task: str) -> Response:
    """Rename the branch."""
    wish = filled(tasks.Branch, name=(await form_of(request)).get("name"))
    await tasks.rename_branch(request, who, task, wish)
    return done(request, f"/tasks/{task}")


@router.post("/tasks/{task}/branch/rename/give-up")
async def cancel_rename(request: Request, who: Signed, task: str) -> Response:
    """Cancel a rename that failed."""
    await tasks.cancel_rename(request, who, task)
    return done(request, f"/tasks/{task}")


@router.post("/tasks/{task}/retry")
async def retry(request: Request, who: Signed, task: str) -> Response:
    """Retry what failed or is overdue."""
    await tasks.retry(request, who, task)
    return done(request, f"/tasks/{task}")


@router.post("/tasks/{task}/work")
async def work(request: Request, who: Signed, task: str) -> Response:
    """Inspect the work tree again."""
    await tasks.refresh(request, who, task)
    return done(request, f"/tasks/{task}")


@router.post("/tasks/{task}/upstream")
async def fetch_branch(request: Request, who: Signed, task: str) -> Response:
    """Fetch the branch and its base from GitHub."""
    await tasks.fetch_branch(request, who, task)
    return done(request, f"/tasks/{task}")


@router.post("/tasks/{task}/idle-stop")
async def idle_stop(request: Request, who: Signed, task: str) -> Response:
    """Save the work, then stop the sandbox."""
    await tasks.idle_stop(request, who, task)
    return done(request, f"/tasks/{task}")


@router.post("/tasks/{task}/archive")
async def archive(request: Request, who: Signed, task: str) -> Response:
    """Archive the task. Its work is saved first, then its sandbox is removed."""
    await tasks.archive(request, who, task, tasks.Archive())
    return done(request, f"/tasks/{task}")


@router.post("/tasks/{task}/release")
async def release(request: Request, who: Signed, task: str) -> Response:
    """Remove the sandbox of an archived task. With `discard`, unsaved work is lost."""
    wish = checkpoints.Releasing(discard="discard" in await form_of(request))
    await checkpoints.release(request, who, task, wish)
    return done(request, f"/tasks/{task}")


@router.post("/tasks/{task}/checkpoints")
async def save(request: Request, who: Signed, task: str) -> Response:
    """Save the work now."""
    await checkpoints.save(request, who, task)
    return done(request, f"/tasks/{task}")


@router.get("/tasks/{task}/checkpoints/{checkpoint}")
async def checkpoint(request: Request, who: Signed, task: str, checkpoint: str) -> Response:
    """Show a checkpoint's content."""
    view = await access.task_of(request, who, task)
    found = await checkpoints.shown(request, who, task, checkpoint)
    organization = view.repository.organization
    around = await frame(request, who, organization, f"/live/organizations/{organization}/frame")
    may = await access.see(foundry_of(request), who, lambda sees: sees.writes(view.repository))
    shown = page.checkpoint(around, view, found.checkpoint, found.diff, cut=found.cut, may_write=may)
    return html(shown)


@router.get("/tasks/{task}/checkpoints/{checkpoint}/patch")
async def patch(request: Request, who: Signed, task: str, checkpoint: str) -> Response:
    """Download the whole change as a patch."""
    return await checkpoints.patch(request, who, task, checkpoint)


@router.post("/tasks/{task}/checkpoints/{checkpoint}/restore")
async def restore(request: Request, who: Signed, task: str, checkpoint: str) -> Response:
    """Restore the work from this checkpoint."""
    await checkpoints.restore(request, who, task, checkpoint)
    if by_script(request):
        return Response(status_code=204, headers={"HX-Redirect": f"/tasks/{task}"})
    return RedirectResponse(f"/tasks/{task}", 303)


@router.post("/tasks/{task}/sessions")
async def open_session(request: Request, who: Signed, task: str) -> Response:
    """Open another session and redirect to it."""
    form, answer = await form_of(request), Response()
    wish = filled(tasks.NewSession, agent=form.get("agent"), prompt=form.get("prompt"))
    await tasks.open_session(request, answer, who, task, wish, form.get("key"))
    session = answer.headers["Location"].rpartition("/")[2]
    there = f"/tasks/{task}?session={session}"
    if by_script(request):
        return Response(status_code=204, headers={"HX-Redirect": there})
    return RedirectResponse(there, 303)


@router.post("/sandboxes/{sandbox}/log")
async def read_log(request: Request, who: Signed, sandbox: str) -> Response:
    """Read the end of sandbox-agent's log again."""
    view = await sandboxes.read_log(request, who, sandbox)
    return done(request, f"/tasks/{view.task}")
