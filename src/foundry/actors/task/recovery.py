"""The task's sandbox when it is lost: a new one is made from the branch on GitHub and the last checkpoint."""

from __future__ import annotations

import json
from datetime import timedelta

from foundry.actors.task.idle_stop import Resting
from foundry.actors.task.jobs import Provision
from foundry.actors.task.overdue import cut_short
from foundry.actors.task.tables import checkpoints, task_sessions_known, tasks
from foundry.actors.task.transitions import advance
from foundry.contracts import addresses
from foundry.contracts.ids import CheckpointId, OrganizationId, SandboxId, SessionId, TaskId
from foundry.contracts.issues import TroublesOver
from foundry.contracts.messages import millis
from foundry.contracts.sandbox_instance import ForgetSandbox, SandboxMissing
from foundry.contracts.sandbox_provider import SandboxGone
from foundry.contracts.task import Phase, PhaseTrouble, TaskState
from foundry.contracts.task_checkpoints import CheckpointRef
from foundry.contracts.task_session import SandboxLost, SessionStatus
from foundry.runtime.actor import receives
from foundry.runtime.turn import AnyRow, Turn

REBUILDS = 3  # by itself within `REBUILDS_WITHIN`; then it waits for a person
REBUILDS_WITHIN = timedelta(hours=1)

# what a person has asked for, by the column that names the workflow; each can be asked for again
ASKED_FOR = {"publish_workflow": "Publishing", "restore_workflow": "Bringing a checkpoint back"}


class Rebuilding(Resting):
    """The part of a Task that gets over the loss of its sandbox."""

    @receives(SandboxMissing)
    def sandbox_missing(self, turn: Turn, message: SandboxMissing) -> None:
        """The provider no longer has it."""
        row = turn.one(tasks)
        if message.sandbox != row.sandbox:
            return
        if row.state == TaskState.ARCHIVED and row.kept:
            turn.update(tasks, kept="", note=f"The sandbox that was kept is gone. It was kept because: {row.kept}")
            turn.send(addresses.sandbox(SandboxId(row.sandbox)), ForgetSandbox())
        elif row.state == TaskState.ARCHIVED and row.remove_at and not row.release_workflow:
            turn.unschedule("remove")
            turn.update(tasks, remove_at=None)
            turn.send(addresses.sandbox(SandboxId(row.sandbox)), ForgetSandbox())
        elif row.state == TaskState.READY and not row.rename_workflow:  # else the rename's end says it again
            self.rebuild(turn)
        self.changed(turn)

    def rebuild(self, turn: Turn) -> None:
        """1. What ran in the old one is over. 2. Sessions wait for the new one. 3. Provision it, or wait for a person
        where that was done too often."""
        row, now = turn.one(tasks), millis(turn.now)
        cut_short(turn)
        new = SandboxId(turn.new_id("sbx"))
        recent = [at for at in json.loads(row.rebuilt) if at > now - REBUILDS_WITHIN / timedelta(milliseconds=1)]
        turn.update(
            tasks,
            state=advance(TaskState(row.state), TaskState.PROVISIONING).value,
            phase=Phase.NAMING.value,
            phase_since=now,
            attempt=1,
            sandbox=new,
            lost_sandbox=row.sandbox,
            rebuilt=json.dumps([*recent, now]),
            begins_from=_last(turn, row),
            running_message=None,
            save_wanted=None,
            save_trouble=None,
            note=_said(turn, row),
        )
        for known in turn.all(task_sessions_known):
            if known.status != SessionStatus.CLOSED:
                pending = {"status": SessionStatus.PENDING.value, "opening": False, "resting": False}
                turn.update(task_sessions_known, {"session": known.session}, **pending)
                turn.send(addresses.session(SessionId(known.session)), SandboxLost(sandbox=new))
        turn.send(addresses.sandbox(SandboxId(row.sandbox)), ForgetSandbox())
        if len(recent) < REBUILDS:
            turn.update(tasks, workflow=turn.start("provision", Provision(task=TaskId(turn.key))))
            return
        trouble = PhaseTrouble(
            code="sandbox_lost_often",
            message=f"The sandbox was lost {len(recent) + 1} times within an hour, so no further one was made.",
            remedy="See who removes sandboxes, then retry: the work comes back from the last checkpoint.",
            attempt=1,
        )
        turn.update(tasks, state=TaskState.FAILED.value, trouble=trouble.model_dump_json())

    def loss_is_over(self, turn: Turn) -> None:
        """What met the loss reported it, the sessions' work too."""
        row = turn.one(tasks)
        sessions = [addresses.session(SessionId(known.session)) for known in turn.all(task_sessions_known)]
        actors = [str(address) for address in (turn.address, *sessions)]
        over = TroublesOver(actors=actors, code=SandboxGone.code)
        turn.send(addresses.organization(OrganizationId(row.organization)), over)


def _last(turn: Turn, row: AnyRow) -> str | None:
    """What the new sandbox begins from: the task's own last checkpoint, else what the task began from."""
    last = max((one for one in turn.all(checkpoints) if one.saved), key=lambda one: one.number, default=None)
    if last is None:
        return row.begins_from
    return CheckpointRef(task=TaskId(turn.key), id=CheckpointId(last.checkpoint)).model_dump_json()


def _said(turn: Turn, row: AnyRow) -> str:
    """What the page tells of it."""
    last = max((one.number for one in turn.all(checkpoints) if one.saved), default=None)
    source = f"the branch and checkpoint {last}" if last is not None else "the branch on GitHub; there is no checkpoint"
    cut = [f"{name} was cut short; ask for it again." for column, name in ASKED_FOR.items() if getattr(row, column)]
    return " ".join([f"The sandbox was lost. A new one is made from {source}.", *cut])
