"""A task's running operations: started, cancelled, and what is kept of them. `Facts.refuse` decides what is refused."""

from __future__ import annotations

from foundry.actors.task.tables import operations, renames, tasks
from foundry.contracts.ids import WorkflowId
from foundry.contracts.issues import Failure
from foundry.contracts.messages import Model
from foundry.contracts.task import PhaseFailure, TaskState
from foundry.contracts.task_operations import OPERATIONS, Kind
from foundry.contracts.task_refusals import Facts
from foundry.runtime.columns import AnyRow
from foundry.runtime.reader import Rows, Running
from foundry.runtime.turn import Turn


def kind_of(workflow: str) -> Kind | None:
    """The operation that a workflow of this name is."""
    return Kind(workflow) if workflow in OPERATIONS else None


def under_way(rows: Rows) -> list[tuple[Kind, Running]]:
    """Every operation that has not ended, those being cancelled included."""
    return [(kind, one) for one in rows.running() if (kind := kind_of(one.name))]


def running(turn: Turn, kind: Kind) -> Running | None:
    """The one of this kind that runs and is not being cancelled."""
    return next((one for one in turn.running(kind.value) if not one.cancelling), None)


def kept(rows: Rows) -> dict[Kind, AnyRow]:
    """What is kept of each operation that the task ever had."""
    return {kind: one for one in rows.all(operations) if (kind := kind_of(one.kind))}


# whether it may


def facts(turn: Turn) -> Facts:
    row, rename = turn.one(tasks), turn.find(renames)
    return Facts(
        state=TaskState(row.state),
        archived=row.archived,
        prompted=bool(row.running_message),
        under_way=[(kind, one.cancelling) for kind, one in under_way(turn)],
        holding={kind for kind, one in kept(turn).items() if one.holds},
        renaming_to=rename.new if rename else None,
    )


def refuse(turn: Turn, kind: Kind) -> None:
    """Refuse an operation that a person asks for and that may not start now.

    Raises:
        WrongState: it says what is in the way, and what to do.
    """
    facts(turn).refuse(kind)


def sandbox_in_use(turn: Turn) -> bool:
    return any(OPERATIONS[kind].uses_sandbox for kind, _ in under_way(turn))


def use_sandbox(turn: Turn) -> None:
    """The sandbox is needed: an idle stop is cancelled; what needs a stopped one starts it as its first step.

    Raises:
        WrongState: it is being stopped at this moment.
    """
    facts(turn).refuse_stopping()
    if (stop := running(turn, Kind.IDLE_STOP)) is not None:
        turn.cancel(stop.id)
    turn.update(tasks, sandbox_stopped=False)


# its life


def begin(turn: Turn, kind: Kind, job: Model, *, step: str = "", keep_failure: bool = False) -> WorkflowId:
    """Start it. Whether it may was decided before.

    Args:
        step: the step to show until the workflow reports one.
        keep_failure: what the last one failed for is shown until this one has succeeded.
    """
    if OPERATIONS[kind].uses_sandbox and not OPERATIONS[kind].yields:
        use_sandbox(turn)
    for other, one in under_way(turn):
        if other in OPERATIONS[kind].supersedes and not one.cancelling:
            turn.cancel(one.id)
    put(turn, kind, step=step, holds=False, **({} if keep_failure else {"failure": None}))
    return turn.start(kind.value, job)


def put(turn: Turn, kind: Kind, **values: object) -> None:
    """Change what is kept of an operation."""
    turn.put(operations, {"kind": kind}, **values)


def failed(turn: Turn, kind: Kind, failure: Failure) -> None:
    """Show that an attempt failed, and what to do."""
    put(turn, kind, failure=PhaseFailure.of(failure))


def failure_of(row: AnyRow | None) -> PhaseFailure | None:
    return PhaseFailure.model_validate_json(row.failure) if row is not None and row.failure else None


def end_with_sandbox(turn: Turn) -> list[Kind]:
    """Cancel what the task does in its sandbox, and clear what was shown about it. Return the cancelled kinds."""
    cut = [(kind, one.id) for kind, one in under_way(turn) if OPERATIONS[kind].ends_with_sandbox and not one.cancelling]
    for _, workflow in cut:
        turn.cancel(workflow)
    for kind, operation in OPERATIONS.items():
        if operation.ends_with_sandbox and kind is not Kind.CHECKPOINT:
            turn.update(operations, {"kind": kind}, step="", failure=None)
    turn.update(tasks, sandbox_stopped=False)
    return [kind for kind, _ in cut]
