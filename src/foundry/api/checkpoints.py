"""Checkpoints: what was saved of a task's work; look at it, download it, bring it back."""

from __future__ import annotations

import asyncio
import gzip

from fastapi import APIRouter, Request, Response

from foundry.actors.task.checkpoints import key as place
from foundry.actors.task.views import checkpoint_list, checkpoint_of
from foundry.api import access
from foundry.api.auth import Me, Signed
from foundry.api.bodies import Body
from foundry.api.context import foundry_of
from foundry.api.keys import IdempotencyKey
from foundry.api.tasks import ask_task
from foundry.contracts.ids import CheckpointId
from foundry.contracts.messages import Model
from foundry.contracts.task import ReleaseSandbox, RestoreCheckpoint, SaveCheckpoint, TaskView
from foundry.contracts.task_checkpoints import CheckpointMissing, CheckpointRef, CheckpointView
from foundry.runtime.store.blobs import Blobs

DIFF_LIMIT = 256 * 1024  # characters of a diff that is looked at; the patch has all of it

router = APIRouter(prefix="/api/tasks/{task}", tags=["checkpoints"])


class CheckpointDiff(Model):
    """What a checkpoint's work differs in from its base."""

    checkpoint: CheckpointView
    diff: str
    cut: bool = False


class Releasing(Body):
    discard: bool = False


@router.get("/checkpoints")
async def listed(request: Request, who: Signed, task: str) -> list[CheckpointView]:
    """What was saved of the task's work, the latest first."""
    found = await access.task_of(request, who, task)
    return await foundry_of(request).runtime.read(checkpoint_list, found.id)


@router.post("/checkpoints", status_code=202)
async def save(request: Request, who: Signed, task: str, key: IdempotencyKey = None) -> TaskView:
    """Save the work now, in the background; the task's topic brings the checkpoint."""
    found = await access.task_of(request, who, task, change=True)
    return await ask_task(request, who, found, SaveCheckpoint(), key)


@router.get("/checkpoints/{checkpoint}")
async def shown(request: Request, who: Signed, task: str, checkpoint: str) -> CheckpointDiff:
    """One checkpoint, with its diff against the base; cut at 256 KiB."""
    view, patch = await content(request, who, task, checkpoint)
    text = patch.decode(errors="replace")
    return CheckpointDiff(checkpoint=view, diff=text[:DIFF_LIMIT], cut=len(text) > DIFF_LIMIT)


@router.get("/checkpoints/{checkpoint}/patch", response_class=Response)
async def patch(request: Request, who: Signed, task: str, checkpoint: str) -> Response:
    """The whole change as a patch that `git apply` takes."""
    view, found = await content(request, who, task, checkpoint)
    name = f"{task}-checkpoint-{view.number}.patch"
    return Response(found, media_type="text/x-diff", headers={"Content-Disposition": f'attachment; filename="{name}"'})


@router.post("/checkpoints/{checkpoint}/restore", status_code=202)
async def restore(request: Request, who: Signed, task: str, checkpoint: str, key: IdempotencyKey = None) -> TaskView:
    """Bring the task's work back to it, in the background; what is there now is saved first."""
    found = await access.task_of(request, who, task, change=True)
    command = RestoreCheckpoint(checkpoint=CheckpointId(checkpoint))
    return await ask_task(request, who, found, command, key)


@router.post("/release", status_code=202)
async def release(
    request: Request, who: Signed, task: str, wish: Releasing | None = None, key: IdempotencyKey = None
) -> TaskView:
    """Try again to give back the sandbox of an archived task that was kept, or remove at once one that waits for its
    time; `discard`: without saving its work."""
    found = await access.task_of(request, who, task, change=True)
    command = ReleaseSandbox(discard=wish.discard if wish else False)
    return await ask_task(request, who, found, command, key)


async def content(request: Request, who: Me, task: str, checkpoint: str) -> tuple[CheckpointView, bytes]:
    """A checkpoint and its patch.

    Raises:
        CheckpointMissing: the task has no such checkpoint, or it is no longer kept.
    """
    found, runtime = await access.task_of(request, who, task), foundry_of(request).runtime
    view = await runtime.read(checkpoint_of, CheckpointRef(task=found.id, id=CheckpointId(checkpoint)))
    packed = await Blobs(runtime).read(f"{place(found.id, view.id)}/patch.gz")
    if packed is None:
        raise CheckpointMissing("the checkpoint's content is no longer kept", field="checkpoint")
    return view, await asyncio.to_thread(gzip.decompress, packed)
