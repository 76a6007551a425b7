"""The task's sandbox while nobody uses it: its work is saved, then it is stopped; whatever needs it starts it again."""

from __future__ import annotations

from foundry.actors.task import checkpoints as keeping
from foundry.actors.task.branch_rename import Renaming
from foundry.actors.task.jobs import Rest, SaveWish
from foundry.actors.task.overdue import quiet
from foundry.actors.task.tables import task_sessions_known, tasks
from foundry.actors.task.work_tree import grant, refuse_archived, refuse_unready
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SessionId
from foundry.contracts.task import GoToRest, RestEnded, RestSandbox, TaskView
from foundry.contracts.task_checkpoints import CheckpointReason
from foundry.contracts.task_session import SessionStatus
from foundry.runtime.actor import due, handles
from foundry.runtime.turn import Turn


class Resting(Renaming):
    """The part of a Task that lets its sandbox rest."""

    @due("idle")
    def idle(self, turn: Turn) -> None:
        """Nobody has used the sandbox for the time that the setting names."""
        row = turn.one(tasks)
        if not row.resting and quiet(row, turn.all(task_sessions_known)):
            self._begin_rest(turn)
        self.changed(turn)

    @handles(RestSandbox)
    def rest(self, turn: Turn, command: RestSandbox) -> TaskView:
        """A person need not wait for that time; asked again, it goes on."""
        row = turn.one(tasks)
        refuse_archived(row)
        refuse_unready(row)
        if row.resting or row.rest_workflow:
            return self.changed(turn)
        if not quiet(row, turn.all(task_sessions_known)):
            raise WrongState("the sandbox is being used", remedy="Stop the agent first, or wait until it has ended.")
        self._begin_rest(turn)
        return self.changed(turn)

    def _begin_rest(self, turn: Turn) -> None:
        save = keeping.next_save(turn, SaveWish(reason=CheckpointReason.IDLE))
        turn.update(tasks, rest_workflow=turn.start("rest", Rest(save=save)))

    @handles(GoToRest)
    def go_to_rest(self, turn: Turn, command: GoToRest) -> list[SessionId]:
        """From here on the sandbox is being stopped: what needs it waits for the end of that."""
        row, known = turn.one(tasks), turn.all(task_sessions_known)
        going = [SessionId(one.session) for one in known if one.status != SessionStatus.CLOSED]
        if not row.resting:
            turn.update(tasks, resting=True)
            for session in going:
                turn.update(task_sessions_known, {"session": session}, resting=True)
            self.changed(turn)
        return going

    @handles(RestEnded)
    def rest_ended(self, turn: Turn, command: RestEnded) -> None:
        """1. The sandbox is stopped, or stays. 2. What was asked meanwhile wakes it."""
        turn.update(tasks, rest_workflow=None)
        grant(turn)
        self.changed(turn)

    def not_rested(self, turn: Turn, note: str) -> None:
        turn.update(tasks, rest_workflow=None, note=note)
        grant(turn)
