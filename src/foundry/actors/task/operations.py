"""A task's running operations. contracts/task_operations.py decides what is refused, started and cancelled."""

from __future__ import annotations

from foundry.actors.task.tables import operations, renames, tasks
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import WorkflowId
from foundry.contracts.issues import Failure
from foundry.contracts.messages import Model
from foundry.contracts.task import PhaseFailure, TaskState
from foundry.contracts.task_operations import OPERATIONS, Again, Holds, Kind, excluded
from foundry.runtime.turn import AnyRow, Running, Turn

WAIT = "Wait until it has ended."


def kind_of(workflow: str) -> Kind | None:
    """The operation that a workflow of this name is."""
    return Kind(workflow) if workflow in OPERATIONS else None


def under_way(turn: Turn) -> list[tuple[Kind, Running]]:
    """Every operation that has not ended, those being cancelled included."""
    return [(kind, one) for one in turn.running() if (kind := kind_of(one.name))]


def running(turn: Turn, kind: Kind) -> Running | None:
    """The one of this kind that runs and is not being cancelled."""
    return next((one for one in turn.running(kind.value) if not one.cancelling), None)


def row_of(turn: Turn, kind: Kind) -> AnyRow | None:
    return turn.find(operations, kind=kind.value)


# whether it may


def refuse(turn: Turn, kind: Kind) -> None:
    """Refuse an operation that a person asks for and that may not start now.

    Raises:
        WrongState: it says what is in the way, and what to do.
    """
    row, wanted = turn.one(tasks), OPERATIONS[kind]
    refuse_state(row, wanted.needs)
    if not wanted.beside_prompt and row.running_message:
        raise WrongState("the agent is working in the work tree", remedy="Stop the agent first, or wait until it ends.")
    for other, one in under_way(turn):
        if other in wanted.supersedes or (other is kind and wanted.again is not Again.REFUSED):
            continue
        if other is kind or excluded(kind, other):
            said = " and is being cancelled" if one.cancelling else ""
            raise WrongState(f"{doing(turn, other)}{said}", remedy=WAIT)
        if wanted.yields and OPERATIONS[other].uses_sandbox:
            raise WrongState(f"the sandbox is in use: {doing(turn, other)}", remedy=WAIT)
    if excluded(kind, Kind.RENAME):
        refuse_half_renamed(turn)
    if wanted.uses_sandbox and stopping(turn):
        raise WrongState(OPERATIONS[Kind.IDLE_STOP].doing, remedy="Try again in a moment.")


def refuse_state(row: AnyRow, needs: TaskState = TaskState.READY) -> None:
    if row.state == needs:
        return
    if row.state == TaskState.ARCHIVED:
        raise WrongState(f"the task is archived ({row.archived})", remedy="Open a new task.")
    if needs is TaskState.READY:
        raise WrongState(
            f"the task is {row.state}; its sandbox is not ready yet",
            remedy="Wait until provisioning has ended, or retry it.",
        )
    raise WrongState(f"the task is {row.state}, not {needs.value}")


def refuse_half_renamed(turn: Turn) -> None:
    """A rename that failed half-way stands in the way of what a running one excludes."""
    rename = turn.find(renames)
    if rename is not None and running(turn, Kind.RENAME) is None:
        raise WrongState(
            f"the rename of the branch to {rename.new!r} failed half-way",
            remedy="Retry the rename or give it up first.",
        )


def in_the_way(turn: Turn, kind: Kind) -> bool:
    """Return True if a waiting operation may not start yet."""
    row, wanted = turn.one(tasks), OPERATIONS[kind]
    return (
        row.state != wanted.needs
        or any(other is kind or excluded(kind, other) for other, _ in under_way(turn))
        or (wanted.uses_sandbox and stopping(turn))
    )


def doing(turn: Turn, kind: Kind) -> str:
    rename = turn.find(renames) if kind is Kind.RENAME else None
    return OPERATIONS[kind].doing + (f" to {rename.new!r}" if rename else "")


# who has the work tree, who uses the sandbox


def holder(turn: Turn) -> Kind | None:
    """The operation that has the work tree; one that is being cancelled may still write it."""
    for kind, _ in under_way(turn):
        holds = OPERATIONS[kind].holds
        if holds is Holds.ALWAYS:
            return kind
        if holds is Holds.LATE and (row := row_of(turn, kind)) is not None and row.holds:
            return kind
    return None


def stopping(turn: Turn) -> bool:
    """Return True if the sandbox is being stopped right now and the stop can no longer be cancelled."""
    row = row_of(turn, Kind.IDLE_STOP)
    return bool(row and row.holds and turn.running(Kind.IDLE_STOP.value))


def sandbox_in_use(turn: Turn) -> bool:
    return any(OPERATIONS[kind].uses_sandbox for kind, _ in under_way(turn))


def use_sandbox(turn: Turn) -> None:
    """The sandbox is needed: an idle stop is cancelled; what needs a stopped one starts it as its first step.

    Raises:
        WrongState: it is being stopped at this moment.
    """
    if stopping(turn):
        raise WrongState(OPERATIONS[Kind.IDLE_STOP].doing, remedy="Try again in a moment.")
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
    values: dict[str, object] = {"step": step, "holds": False}
    put(turn, kind, **(values if keep_failure else {**values, "failure": None}))
    return turn.start(kind.value, job)


def put(turn: Turn, kind: Kind, **values: object) -> None:
    """Change what is kept of an operation."""
    turn.put(operations, {"kind": kind.value}, **values)


def failed(turn: Turn, kind: Kind, failure: Failure) -> None:
    """Show that an attempt failed, and what to do."""
    put(turn, kind, failure=PhaseFailure.of(failure).model_dump_json())


def failure_of(row: AnyRow | None) -> PhaseFailure | None:
    return PhaseFailure.model_validate_json(row.failure) if row is not None and row.failure else None


def end_with_sandbox(turn: Turn) -> list[Kind]:
    """Cancel what the task does in its sandbox, and clear what was shown about it. Return the cancelled kinds."""
    ended: list[Kind] = []
    for kind, one in under_way(turn):
        if OPERATIONS[kind].ends_with_sandbox and not one.cancelling:
            turn.cancel(one.id)
            ended.append(kind)
    for kind, operation in OPERATIONS.items():
        if operation.ends_with_sandbox and kind is not Kind.CHECKPOINT:
            turn.update(operations, {"kind": kind.value}, step="", failure=None)
    turn.update(tasks, sandbox_stopped=False)
    return ended
