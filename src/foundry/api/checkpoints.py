"""Checkpoints of a task's work: list, view, download and restore them."""

from __future__ import annotations

import asyncio
import gzip

from fastapi import APIRouter, Request, Response

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
from foundry.contracts.task_checkpoints import CheckpointMissing, CheckpointRef, CheckpointView, checkpoint_key
from foundry.runtime.store.blobs import Blobs

DIFF_LIMIT = 256 * 1024  # characters of a displayed diff; the patch is not truncated

router = APIRouter(prefix="/api/tasks/{task}", tags=["checkpoints"])


class CheckpointDiff(Model):
    """A checkpoint and the diff of its work against the base."""

    checkpoint: CheckpointView
    diff: str
    cut: bool = False


class Releasing(Body):
    discard: bool = False


@router.get("/checkpoints")
async def listed(request: Request, who: Signed, task: str) -> list[CheckpointView]:
    """List the task's checkpoints, the latest first."""
    found = await access.task_of(request, who, task)
    return await foundry_of(request).runtime.read(checkpoint_list, found.id)


@router.post("/checkpoints", status_code=202)
async def save(request: Request, who: Signed, task: str, key: IdempotencyKey = None) -> TaskView:
    """Save the work now, in the background. The task's topic delivers the new checkpoint."""
    found = await access.task_of(request, who, task, change=True)
    return await ask_task(request, who, found, SaveCheckpoint(), key)


@router.get("/checkpoints/{checkpoint}")
async def shown(request: Request, who: Signed, task: str, checkpoint: str) -> CheckpointDiff:
    """Get one checkpoint, with its diff against the base. The diff is truncated at 256 KiB."""
    view, patch = await content(request, who, task, checkpoint)
    text = patch.decode(errors="replace")
    return CheckpointDiff(checkpoint=view, diff=text[:DIFF_LIMIT], cut=len(text) > DIFF_LIMIT)


@router.get("/checkpoints/{checkpoint}/patch", response_class=Response)
async def patch(request: Request, who: Signed, task: str, checkpoint: str) -> Response:
    """Download the whole change as a patch for `git apply`."""
    view, found = await content(request, who, task, checkpoint)
    name = f"{task}-checkpoint-{view.number}.patch"
    return Response(found, media_type="text/x-diff", headers={"Content-Disposition": f'attachment; filename="{name}"'})


@router.post("/checkpoints/{checkpoint}/restore", status_code=202)
async def restore(request: Request, who: Signed, task: str, checkpoint: str, key: IdempotencyKey = None) -> TaskView:
    """Restore the task's work from this checkpoint, in the background. The current work is saved first."""
    found = await access.task_of(request, who, task, change=True)
    command = RestoreCheckpoint(checkpoint=CheckpointId(checkpoint))
    return await ask_task(request, who, found, command, key)


@router.post("/release", status_code=202)
async def release(
    request: Request, who: Signed, task: str, wish: Releasing | None = None, key: IdempotencyKey = None
) -> TaskView:
    """Remove an archived task's sandbox now: one that was retained, or one that waits for its removal time. The work is
    saved first, unless `discard` is true."""
    found = await access.task_of(request, who, task, change=True)
    command = ReleaseSandbox(discard=wish.discard if wish else False)
    return await ask_task(request, who, found, command, key)


async def content(request: Request, who: Me, task: str, checkpoint: str) -> tuple[CheckpointView, bytes]:
    """Return a checkpoint and its patch.

    Raises:
        CheckpointMissing: the task has no such checkpoint, or its content was removed.
    """
    found, runtime = await access.task_of(request, who, task), foundry_of(request).runtime
    view = await runtime.read(checkpoint_of, CheckpointRef(task=found.id, id=CheckpointId(checkpoint)))
    packed = await Blobs(runtime).read(f"{checkpoint_key(found.id, view.id)}/patch.gz")
    if packed is None:
        raise CheckpointMissing("the checkpoint's content was removed", field="checkpoint")
    return view, await asyncio.to_thread(gzip.decompress, packed)
