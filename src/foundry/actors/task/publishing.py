"""Publishing: when the branch is pushed and its pull request opened, and what the task keeps of that (R14)."""

from __future__ import annotations

from contextlib import suppress

from foundry.actors.task import branch_rename, branch_sync, lifecycle, operations
from foundry.actors.task.jobs import Publish
from foundry.actors.task.tables import tasks
from foundry.actors.task.views import repository_of, work_of
from foundry.contracts.errors import WrongState
from foundry.contracts.people import Person
from foundry.contracts.task import ArchiveReason, Publishing, PublishTask, PullRequestOpened, PullRequestSeen, Pushed
from foundry.contracts.task_operations import Kind
from foundry.runtime.actor import handles, receives
from foundry.runtime.columns import from_row
from foundry.runtime.turn import Turn


@handles(PublishTask)
def publish(turn: Turn, command: PublishTask) -> None:
    """Push and open the pull request; asked again while it runs, it goes on running."""
    _publish(turn, command, automatic=False)


def publish_automatically(turn: Turn) -> None:
    """After an agent's turn, where nothing is in the way."""
    person = Person.model_validate_json(turn.one(tasks).person)
    with suppress(WrongState):
        _publish(turn, PublishTask(person=person), automatic=True)


def _publish(turn: Turn, wish: PublishTask, *, automatic: bool) -> None:
    operations.refuse(turn, Kind.PUBLISH)
    if operations.running(turn, Kind.PUBLISH) is not None:
        return
    row = turn.one(tasks)
    body = f"{row.prompt}\n\n---\nOpened by Foundry, task {turn.key}." if wish.body is None else wish.body
    said = {"title": wish.title or row.title, "body": body, "draft": wish.draft}
    job = from_row(Publish, row, repository=repository_of(row), by_itself=automatic, person=wish.person, **said)
    operations.begin(turn, Kind.PUBLISH, job, step="looking at the work")


@handles(Publishing)
def publishing(turn: Turn, command: Publishing) -> None:
    operations.put(turn, Kind.PUBLISH, step=command.step)


@handles(Pushed)
def pushed(turn: Turn, command: Pushed) -> None:
    even = {"unpushed": 0, "head": command.head, "upstream": command.head, "behind": 0}
    turn.update(tasks, work=work_of(turn).model_copy(update=even))
    operations.put(turn, Kind.PUBLISH, step="opening the pull request")
    branch_sync.own_push(turn, command.head)


@handles(PullRequestOpened)
def pull_request_opened(turn: Turn, command: PullRequestOpened) -> None:
    row, number = turn.one(tasks), command.pull_request.number
    if row.pull_request_ended == "merged" and row.pull_request_number == number:
        return
    turn.update(tasks, pull_request_number=number, pull_request_ended="", note="")


@receives(PullRequestSeen)
def pull_request_seen(turn: Turn, message: PullRequestSeen) -> None:
    """Merged -> archived. Closed unmerged -> the task stays and says so. Anything else -> remembered."""
    row = turn.one(tasks)
    if not branch_rename.concerns(turn, message) or message.number < (row.pull_request_number or 0):
        return  # somebody else's, or an older one of the same branch
    ended = "" if message.state == "open" else message.state
    if not ended and row.pull_request_number == message.number and not row.pull_request_ended:
        return  # no news; what the note says still holds
    note = row.note if ended else ""
    if message.state == "closed":
        note = f"Pull request #{message.number} was closed without merging. Publish opens a new one."
    turn.update(tasks, pull_request_number=message.number, pull_request_ended=ended, note=note)
    if message.state == "merged" and not row.archived and not branch_rename.wait_for_rename(turn):
        lifecycle.archive_task(turn, ArchiveReason.MERGED, discard=False)
