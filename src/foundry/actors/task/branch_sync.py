"""The task's branch on GitHub: what was heard of it, and when its commits are got.

A fetch writes refs only, so it may run beside an agent. To bring the work tree forward it asks for it first: it gets it
where no prompt runs, and then no prompt is granted until its end (R6).
"""

from __future__ import annotations

from foundry.actors.task.branch_rename import refuse_renaming
from foundry.actors.task.jobs import Fetch, Heard
from foundry.actors.task.overdue import WORK
from foundry.actors.task.recovery import Rebuilding
from foundry.actors.task.remote_branch import after_push, after_rejection, after_word, heard_of, shown
from foundry.actors.task.tables import task_sessions_known, tasks, waiting_prompts
from foundry.actors.task.work_tree import grant, refuse_archived, refuse_unready, stir
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SandboxId
from foundry.contracts.messages import millis
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import GetUpstream, TaskState, TaskView, WorkTree
from foundry.contracts.task_branch import BranchMoved, Fetched, FetchEnded, MayForward, UpstreamState
from foundry.contracts.task_session import SessionStatus
from foundry.runtime.actor import handles, receives
from foundry.runtime.turn import AnyRow, Turn

NOT_GOT = "GitHub's commits were not got:"


class Following(Rebuilding):
    """The part of a Task that follows its branch on GitHub."""

    @receives(BranchMoved)
    def branch_moved(self, turn: Turn, message: BranchMoved) -> None:
        """During a rename both names come and go; who compares sees afterwards what is left."""
        row = turn.one(tasks)
        if row.state == TaskState.ARCHIVED or row.rename or message.branch != row.branch:
            return
        heard = after_word(heard_of(row.upstream), message, millis(turn.now))
        if heard is not None:
            _put(turn, heard)
            self.changed(turn)

    @handles(GetUpstream)
    def get_upstream(self, turn: Turn, command: GetUpstream) -> TaskView:
        """Asked again while it runs, it goes on running."""
        row = turn.one(tasks)
        refuse_archived(row)
        refuse_unready(row)
        refuse_renaming(row)
        if row.restore_workflow:
            raise WrongState("the work is being restored", remedy="Wait until that has ended.")
        if not row.fetch_workflow:
            stir(turn)
            self._fetch(turn, row, by_itself=False, forward=True)
        return self.changed(turn)

    def changed(self, turn: Turn) -> TaskView:
        """Whatever turn it was: what GitHub has more of is got as soon as nothing stands in its way."""
        row = turn.one(tasks)
        heard = heard_of(row.upstream)
        if heard is not None and (heard.later or heard.tried != heard.head) and self._free(turn, row):
            work = WorkTree.model_validate_json(row.work)
            seen = shown(heard, work, row.branch)
            if heard.later:
                if not row.running_message and not turn.all(waiting_prompts):
                    self._fetch(turn, row, by_itself=True, forward=True)
            elif seen is not None and seen.state is UpstreamState.AHEAD:
                self._fetch(turn, row, by_itself=True, forward=not work.behind)  # else it was set back on purpose
        return super().changed(turn)

    def _free(self, turn: Turn, row: AnyRow) -> bool:
        """Whether the sandbox runs, and nothing of the task's own is at work in it."""
        return (
            row.state == TaskState.READY
            and not row.resting
            and not row.rename
            and not any(getattr(row, column) for column in WORK)
            and not any(known.status == SessionStatus.PENDING for known in turn.all(task_sessions_known))
        )

    def _fetch(self, turn: Turn, row: AnyRow, *, by_itself: bool, forward: bool) -> None:
        heard = heard_of(row.upstream)
        job = Fetch(
            sandbox=SandboxId(row.sandbox),
            repository=RepositoryRef.model_validate_json(row.repository),
            branch=row.branch,
            base=row.base,
            known=heard.head if heard else None,
            by_itself=by_itself,
            forward=forward,
        )
        turn.update(tasks, fetch_workflow=turn.start("fetch", job))
        if heard is not None:
            _put(turn, heard.model_copy(update={"tried": heard.head, "later": False}))

    # by the workflow

    @handles(Fetched)
    def fetched(self, turn: Turn, command: Fetched) -> None:
        """As good as any other look at GitHub; that a branch is not there which never was is no news."""
        row = turn.one(tasks)
        known = heard_of(row.upstream)
        told = BranchMoved(branch=row.branch, head=command.head, before=command.known, compared=True)
        heard = after_word(known, told, millis(turn.now))
        if heard is not None and (known is not None or heard.head is not None):
            _put(turn, heard.model_copy(update={"tried": heard.head}))

    @handles(MayForward)
    def may_forward(self, turn: Turn, command: MayForward) -> bool:
        """Not while a prompt has the work tree; it is tried once more when that has ended."""
        row = turn.one(tasks)
        if row.running_message:
            heard = heard_of(row.upstream)
            if heard is not None:
                _put(turn, heard.model_copy(update={"later": True}))
            return False
        turn.update(tasks, fetch_writes=True)
        return True

    @handles(FetchEnded)
    def fetch_ended(self, turn: Turn, command: FetchEnded) -> None:
        if turn.one(tasks).note.startswith(NOT_GOT):
            turn.update(tasks, note="")
        turn.update(tasks, fetch_workflow=None, fetch_writes=False)
        if command.commits:
            commits = "1 commit" if command.commits == 1 else f"{command.commits} commits"
            turn.update(tasks, note=f"The work tree has been brought forward by {commits} of GitHub's.")
        grant(turn)
        self.changed(turn)

    def not_fetched(self, turn: Turn, why: str) -> None:
        turn.update(tasks, fetch_workflow=None, fetch_writes=False, note=f"{NOT_GOT} {why}")
        grant(turn)

    def own_push(self, turn: Turn, head: str) -> None:
        _put(turn, after_push(heard_of(turn.one(tasks).upstream), head, millis(turn.now)))

    def push_rejected(self, turn: Turn) -> None:
        """GitHub has what nobody told of: it is got by itself."""
        row = turn.one(tasks)
        _put(turn, after_rejection(heard_of(row.upstream), WorkTree.model_validate_json(row.work)))


def _put(turn: Turn, heard: Heard) -> None:
    turn.update(tasks, upstream=heard.model_dump_json())
