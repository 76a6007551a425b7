"""Release 0.1's columns of `tasks`, while a replica of it may run beside this one. Goes with release 0.3.

Every turn begins by adopting what 0.1 has written since this release last wrote the row, and ends by writing what 0.1
would have: it reads these columns alone.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, MetaData, String, Table, Text, select

from foundry.actors.task.jobs import RemoteHead, SaveWish
from foundry.actors.task.operations import running
from foundry.actors.task.remote_branch import remote_head, stored
from foundry.actors.task.tables import (
    diffs,
    former_branches,
    lost_sandboxes,
    operations,
    releases,
    remote_branches,
    renames,
    task_sessions_known,
    tasks,
    wanted_checkpoints,
)
from foundry.actors.task.views import SHOWN, pull_request_of, rename_of
from foundry.contracts import addresses
from foundry.contracts.ids import OrganizationId, RepositoryId, TaskId
from foundry.contracts.issues import Adopt
from foundry.contracts.messages import Model
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import BranchRename, Phase, PullRequestRef, TaskState, WorkTree
from foundry.contracts.task_operations import Kind
from foundry.runtime.actor import handles
from foundry.runtime.turn import AnyRow, Reader, Turn
from foundry.runtime.worker.supervisor import Job, WorkerKind, once

WORKFLOWS = {
    "publish_workflow": Kind.PUBLISH,
    "save_workflow": Kind.CHECKPOINT,
    "restore_workflow": Kind.RESTORE,
    "release_workflow": Kind.RELEASE,
    "rest_workflow": Kind.IDLE_STOP,
    "rename_workflow": Kind.RENAME,
    "fetch_workflow": Kind.FETCH,
}

old = Table(
    "tasks",
    MetaData(),
    Column("task", String, primary_key=True),
    Column("mirror", String),  # digest of the rest, as this release last wrote it
    Column("mirror_at", BigInteger),  # `changed_at`, as of then: every turn of 0.1 changes it
    Column("repository", Text),
    Column("trouble", Text),
    Column("workflow", String),
    Column("publishing", String),
    Column("pull_request", Text),
    Column("save_wanted", Text),
    Column("save_trouble", Text),
    Column("resting", Boolean),
    Column("rename", Text),
    Column("former_branches", Text),
    Column("upstream", Text),
    Column("fetch_writes", Boolean),
    Column("rebuilt", Text),
    Column("lost_sandbox", String),
    Column("kept", Text),
    Column("remove_at", BigInteger),
    *(Column(name, String) for name in WORKFLOWS),
    info={"owner": "Task"},
)
tasks_at = tasks.alias()
NAMES = [column.name for column in old.columns if column.name not in ("task", "mirror", "mirror_at")]


def adopt(turn: Turn) -> None:
    """Take over what a replica of 0.1 has written, if it has."""
    row = turn.find(old)
    if row is None or not row.repository or row.mirror == _digest({name: getattr(row, name) for name in NAMES}):
        return
    for table, rows in new_rows(turn.one(tasks), row).items():
        if table is tasks:
            turn.update(tasks, **rows[0])
        else:
            turn.delete(table)
            turn.insert_many(table, rows)


def mirror(turn: Turn) -> None:
    """Write what 0.1 reads."""
    row, values, at = turn.find(old), old_values(turn), turn.one(tasks).changed_at
    if row is None:
        return
    mark = _digest({"repository": row.repository, **values})
    if (row.mirror, row.mirror_at) != (mark, at):
        turn.update(old, **values, mirror=mark, mirror_at=at)


@handles(Adopt)
def adopted(turn: Turn, command: Adopt) -> None:
    """As every turn does."""


def stale(reader: Reader) -> list[TaskId]:
    """The tasks that a replica of 0.1 has written since."""
    query = select(old.c.task).where(old.c.repository != "", tasks_at.c.changed_at.is_distinct_from(old.c.mirror_at))
    return [TaskId(row.task) for row in reader.all(query.where(tasks_at.c.task == old.c.task))]


def adopter(every: float) -> WorkerKind:
    """One for the whole of Foundry: what others read of these tasks is not older than so many seconds."""

    async def run(job: Job) -> None:
        while True:
            for task in await job.read(stale):
                await job.ask(addresses.task(task), Adopt())
            await asyncio.sleep(every)

    return WorkerKind("AppShell", once(addresses.app_shell()), run, name="release 0.1")


def created(turn: Turn, repository: RepositoryRef) -> None:
    turn.update(old, repository=repository.model_dump_json())


def repository_of(turn: Turn) -> RepositoryRef:
    """All of it: 0.1's workflows look nothing up."""
    row = turn.find(old)
    if row is not None and row.repository:
        return RepositoryRef.model_validate_json(row.repository)
    task = turn.one(tasks)
    return RepositoryRef.of(RepositoryId(task.repository_id), OrganizationId(task.organization))


def _digest(values: dict[str, Any]) -> str:
    text = json.dumps([values[name] for name in NAMES], default=str)
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


# new -> old


def old_values(turn: Turn) -> dict[str, Any]:
    row, released = turn.one(tasks), turn.find(releases)
    kept = {one.kind: one for one in turn.all(operations)}
    live = {kind: one.id for kind in Kind if (one := running(turn, kind)) is not None}
    lost = sorted(turn.all(lost_sandboxes), key=lambda one: one.at)
    gone = [one.sandbox for one in lost if not one.replaced]
    head = remote_head(turn.find(remote_branches))
    wanted = turn.find(wanted_checkpoints)
    publishing = kept.get(Kind.PUBLISH)
    fetching = kept.get(Kind.FETCH)
    return {
        "trouble": _trouble(turn, kept),
        "workflow": live.get(Kind.PROVISION) or live.get(Kind.RECOVERY),
        "publishing": publishing.step if publishing and Kind.PUBLISH in live else "",
        "pull_request": _json(pull_request_of(row)),
        "save_wanted": _json(SaveWish.of(wanted) if wanted else None),
        "save_trouble": kept[Kind.CHECKPOINT].failure if Kind.CHECKPOINT in kept else None,
        "resting": bool(row.sandbox_stopped),
        "rename": _json(rename_of(turn.find(renames), kept.get(Kind.RENAME))),
        "former_branches": json.dumps(sorted(one.branch for one in turn.all(former_branches))),
        "upstream": _json(head),
        "fetch_writes": bool(fetching and fetching.holds and Kind.FETCH in live),
        "rebuilt": json.dumps([one.at for one in lost]),
        "lost_sandbox": gone[-1] if gone else None,
        "kept": released.retained if released else "",
        "remove_at": released.remove_at if released else None,
        **{column: live.get(kind) for column, kind in WORKFLOWS.items()},
    }


def _trouble(turn: Turn, kept: dict[str, AnyRow]) -> str | None:
    for kind in SHOWN:
        if kind in kept and kept[kind].failure:
            return kept[kind].failure
    row = turn.one(tasks)
    if row.state == TaskState.READY and row.phase != Phase.RUNNING and row.active_session:
        active = turn.find(task_sessions_known, session=row.active_session)
        return active.trouble if active else None
    return None


def _json(found: Model | None) -> str | None:
    return found and found.model_dump_json()


# old -> new


def new_rows(task: AnyRow, row: AnyRow) -> dict[Table, list[dict[str, Any]]]:
    """The rows of the new tables, and the new columns of `tasks`, from 0.1's columns."""
    repository = RepositoryRef.model_validate_json(row.repository)
    pull = PullRequestRef.model_validate_json(row.pull_request) if row.pull_request else None
    work = WorkTree.model_validate_json(task.work)
    columns: dict[str, Any] = {
        "repository_id": repository.id,
        "sandbox_stopped": bool(row.resting),
        "pull_request_number": pull.number if pull else None,
        "pull_request_ended": "" if pull is None or pull.state == "open" else pull.state,
    }
    if work.diff:
        columns["work"] = work.model_copy(update={"diff": ""}).model_dump_json()
    rename = BranchRename.model_validate_json(row.rename) if row.rename else None
    lost = [(at, f"unknown-{at}", True) for at in json.loads(row.rebuilt or "[]")]
    if row.lost_sandbox:
        lost[-1:] = [(lost[-1][0] if lost else 0, row.lost_sandbox, False)]
    found: dict[Table, list[dict[str, Any]]] = {
        tasks: [columns],
        operations: _operations(task, row, rename),
        wanted_checkpoints: [_wish(row.save_wanted)] if row.save_wanted else [],
        remote_branches: [stored(RemoteHead.model_validate_json(row.upstream))] if row.upstream else [],
        renames: [rename.model_dump(exclude={"step", "trouble"})] if rename else [],
        former_branches: [{"branch": name} for name in json.loads(row.former_branches or "[]")],
        lost_sandboxes: [{"at": at, "sandbox": sandbox, "replaced": over} for at, sandbox, over in lost],
        releases: [{"retained": row.kept, "remove_at": row.remove_at}] if task.archived else [],
    }
    if work.diff:
        found[diffs] = [{"diff": work.diff}]
    return found


def _operations(task: AnyRow, row: AnyRow, rename: BranchRename | None) -> list[dict[str, Any]]:
    provisioning = Kind.RECOVERY if row.lost_sandbox else Kind.PROVISION
    whose = Kind.PUBLISH if task.state == TaskState.READY and task.phase == Phase.RUNNING else provisioning
    failures = {whose: row.trouble, Kind.CHECKPOINT: row.save_trouble}
    steps = {Kind.PUBLISH: row.publishing, Kind.RENAME: rename.step if rename else ""}
    holds = {Kind.FETCH: row.fetch_writes, Kind.IDLE_STOP: row.rest_workflow and row.resting}
    if rename and rename.trouble:
        failures[Kind.RENAME] = rename.trouble.model_dump_json()
    return [
        {
            "kind": kind.value,
            "step": steps.get(kind) or "",
            "holds": bool(holds.get(kind)),
            "failure": failures.get(kind),
        }
        for kind in Kind
        if failures.get(kind) or steps.get(kind) or holds.get(kind)
    ]


def _wish(text: str) -> dict[str, Any]:
    wish = SaveWish.model_validate_json(text)
    return {"reason": wish.reason.value, "session": wish.session, "message": wish.message}
