"""`/api/realtime`: one topic as server-sent events: a snapshot with its version, then every later event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from foundry.actors.organization.views import issues, repository_list, task_list
from foundry.actors.sandbox_instance.views import sandbox_snapshot
from foundry.actors.task.views import task_snapshot
from foundry.actors.task_session.views import session_snapshot
from foundry.api import access
from foundry.api.auth import Me, Signed
from foundry.api.context import foundry_of
from foundry.api.organizations import sandbox_of
from foundry.contracts import addresses
from foundry.contracts.errors import BadInput
from foundry.contracts.ids import OrganizationId
from foundry.contracts.words import Address
from foundry.runtime.topic import Resync

KEEP_ALIVE = 15.0  # seconds
CHECK = 60.0  # seconds between checks that the person may still see it

router = APIRouter(tags=["realtime"])


async def _allowed(request: Request, who: Me, topic: str, id: str) -> tuple[Address, set[str] | None]:
    """The topic's actor, and the repositories whose events this person gets (none: all of the topic)."""
    match topic:
        case "organization":
            found = await access.organization(foundry_of(request), who, id)
            return addresses.organization(OrganizationId(id)), {one.id for one in found}
        case "task":
            return addresses.task((await access.task_of(request, who, id)).id), None
        case "session":
            return addresses.session((await access.session_of(request, who, id)).id), None
        case "sandbox":
            return addresses.sandbox((await sandbox_of(request, who, id)).id), None
    raise BadInput(f"{topic} is none of: organization, task, session, sandbox", field="topic")


async def _snapshot(request: Request, address: Address, repositories: set[str] | None) -> tuple[int, Any]:
    runtime = foundry_of(request).runtime
    match address.kind:
        case "Task":
            version, task = await runtime.read(task_snapshot, address.key)
            return version, {"task": task.model_dump(mode="json")}
        case "TaskSession":
            version, session, entries = await runtime.read(session_snapshot, address.key)
            transcript = [entry.model_dump(mode="json") for entry in entries]
            return version, {"session": session.model_dump(mode="json"), "transcript": transcript}
        case "SandboxInstance":
            version, sandbox = await runtime.read(sandbox_snapshot, address.key)
            return version, {"sandbox": sandbox.model_dump(mode="json")}
    organization = OrganizationId(address.key)
    shown = repositories or set()

    def whole(reader: Any) -> tuple[int, Any]:
        tasks = [t.model_dump(mode="json") for t in task_list(reader, organization) if t.repository.id in shown]
        known = [r.model_dump(mode="json") for r in repository_list(reader, organization) if r.id in shown]
        troubles = [i.model_dump(mode="json") for i in issues(reader, organization)]
        return reader.version(address), {"tasks": tasks, "repositories": known, "issues": troubles}

    return await runtime.read(whole)


@router.get("/api/realtime")
async def realtime(request: Request, who: Signed, topic: str, id: str, after: int | None = None) -> StreamingResponse:
    """Watch a topic. `after` (or Last-Event-ID): catch up from this version where that is still possible."""
    foundry = foundry_of(request)
    address, repositories = await _allowed(request, who, topic, id)
    last = request.headers.get("last-event-id", "")
    since = int(last) if last.isdigit() else after
    subscription = foundry.runtime.hub.subscribe(address)

    async def stream() -> AsyncIterator[str]:
        nonlocal repositories
        version = since
        try:
            missed = await foundry.runtime.read(lambda r: r.events(address, after=since, limit=1000)) if since else []
            if since is None or (missed and missed[0].version != since + 1) or len(missed) == 1000:
                version, body = await _snapshot(request, address, repositories)
                yield _event("snapshot", version, json.dumps(body))
            else:
                for row in missed:
                    version = row.version
                    if _for(row.repository, row.person, repositories, who):
                        yield _event(row.word, version, row.body)
            events = subscription.events(version or 0)
            checked = asyncio.get_running_loop().time()
            coming = asyncio.ensure_future(anext(events))
            closing = asyncio.ensure_future(foundry.closing.wait())
            try:
                while not foundry.closing.is_set():
                    await asyncio.wait({coming, closing}, timeout=KEEP_ALIVE, return_when=asyncio.FIRST_COMPLETED)
                    if asyncio.get_running_loop().time() - checked > CHECK:
                        checked = asyncio.get_running_loop().time()
                        _, repositories = await _allowed(request, who, topic, id)
                    if not coming.done():
                        yield ": still here\n\n"
                        continue
                    event = coming.result()
                    coming = asyncio.ensure_future(anext(events))
                    if _for(event.repository, event.person, repositories, who):
                        yield _event(event.word, event.version, event.body)
            finally:
                coming.cancel()
                closing.cancel()
        except Resync:
            yield "event: resync\ndata: {}\n\n"
        finally:
            subscription.close()

    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)


def _for(repository: str | None, person: str | None, repositories: set[str] | None, who: Me) -> bool:
    """Whether an event is for this person."""
    if person is not None and person != who.person.id:
        return False
    return repository is None or repositories is None or repository in repositories


def _event(word: str, version: int, body: str) -> str:
    return f"id: {version}\nevent: {word}\ndata: {body}\n\n"
