"""What a task refuses, and in which words: pure decisions from the table of operations and a few facts of the task."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

from foundry.contracts.errors import WrongState
from foundry.contracts.task import TaskState
from foundry.contracts.task_operations import OPERATIONS, Again, Holds, Kind, excluded

WAIT = "Wait until it has ended."


@dataclass(frozen=True)
class Facts:
    """What of a task decides whether an operation may start.

    Args:
        state: the task's.
        archived: why it is archived.
        prompted: a prompt has the work tree.
        under_way: every operation that has not ended, the oldest first; True: it is being cancelled, but may still act.
        holding: the operations that have said that they hold what they take late.
        renaming_to: the new name of a rename that runs, or that failed half-way.
    """

    state: TaskState
    archived: str | None
    prompted: bool
    under_way: Sequence[tuple[Kind, bool]]
    holding: Set[Kind]
    renaming_to: str | None

    def refuse(self, kind: Kind) -> None:
        """Refuse an operation that a person asks for and that may not start now.

        Raises:
            WrongState: it says what is in the way, and what to do.
        """
        wanted = OPERATIONS[kind]
        self.refuse_state(wanted.needs)
        if not wanted.beside_prompt and self.prompted:
            remedy = "Stop the agent first, or wait until it ends."
            raise WrongState("the agent is working in the work tree", remedy=remedy)
        for other, cancelling in self.under_way:
            if other in wanted.supersedes or (other is kind and wanted.again is not Again.REFUSED):
                continue
            if other is kind or excluded(kind, other):
                said = " and is being cancelled" if cancelling else ""
                raise WrongState(f"{self.doing(other)}{said}", remedy=WAIT)
            if wanted.yields and OPERATIONS[other].uses_sandbox:
                raise WrongState(f"the sandbox is in use: {self.doing(other)}", remedy=WAIT)
        if excluded(kind, Kind.RENAME):
            self.refuse_half_renamed()
        if wanted.uses_sandbox:
            self.refuse_stopping()

    def refuse_state(self, needs: TaskState = TaskState.READY) -> None:
        """Refuse what needs the task in another state."""
        if self.state == needs:
            return
        self.refuse_archived()
        if needs is TaskState.READY:
            raise WrongState(
                f"the task is {self.state.value}; its sandbox is not ready yet",
                remedy="Wait until provisioning has ended, or retry it.",
            )
        raise WrongState(f"the task is {self.state.value}, not {needs.value}")

    def refuse_archived(self) -> None:
        if self.state == TaskState.ARCHIVED:
            raise WrongState(f"the task is archived ({self.archived})", remedy="Open a new task.")

    def refuse_renaming(self) -> None:
        """What must not meet a branch between two names waits for the rename's end, a cancelled one's too."""
        if any(kind is Kind.RENAME for kind, _ in self.under_way):
            raise WrongState(OPERATIONS[Kind.RENAME].doing, remedy=WAIT)

    def refuse_half_renamed(self) -> None:
        """A rename that failed half-way stands in the way of what a running one excludes."""
        if self.renaming_to and (Kind.RENAME, False) not in self.under_way:
            raise WrongState(
                f"the rename of the branch to {self.renaming_to!r} failed half-way",
                remedy="Retry the rename or give it up first.",
            )

    def refuse_stopping(self) -> None:
        """What needs the sandbox is refused while it is being stopped, and the stop can no longer be cancelled."""
        if self._stopping():
            raise WrongState(OPERATIONS[Kind.IDLE_STOP].doing, remedy="Try again in a moment.")

    def in_the_way(self, kind: Kind) -> bool:
        """Return True if a waiting operation may not start yet."""
        wanted = OPERATIONS[kind]
        return (
            self.state != wanted.needs
            or any(other is kind or excluded(kind, other) for other, _ in self.under_way)
            or (wanted.uses_sandbox and self._stopping())
        )

    def holder(self) -> Kind | None:
        """The operation that has the work tree; one that is being cancelled may still write it."""
        for kind, _ in self.under_way:
            holds = OPERATIONS[kind].holds
            if holds is Holds.ALWAYS or (holds is Holds.LATE and kind in self.holding):
                return kind
        return None

    def _stopping(self) -> bool:
        return Kind.IDLE_STOP in self.holding and any(kind is Kind.IDLE_STOP for kind, _ in self.under_way)

    def doing(self, kind: Kind) -> str:
        named = f" to {self.renaming_to!r}" if kind is Kind.RENAME and self.renaming_to else ""
        return OPERATIONS[kind].doing + named
