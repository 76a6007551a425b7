"""Rename: the branch gets another name, in the sandbox and on GitHub, and its pull request a replacement (R8).

Everything is read again from the task and from GitHub, so a retried rename continues where the last one ended.
docs/states.md has the table of what each step finds on repeat.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from foundry.actors.ensure_running import ensure_running
from foundry.actors.task.jobs import OfTask
from foundry.actors.task.views import rename_view
from foundry.contracts import addresses
from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError
from foundry.contracts.repository import GiveBackBranch, ReserveRename
from foundry.contracts.task import PullRequestOpened, PullRequestRef
from foundry.contracts.task_rename import (
    BranchOnGitHub,
    BranchRenamed,
    OldPullRequest,
    RenameEnded,
    RenameStep,
    RenameWish,
)
from foundry.runtime.workflow.flow import Flow, Scope, workflow

T = TypeVar("T")

STEPS = (
    "reading the task",
    "looking at GitHub",
    "reserving the name",
    "renaming in the sandbox",
    "renaming on GitHub",
    "waiting for GitHub",
    "switching to the new branch",
    "opening the replacement",
    "copying the labels",
    "asking the reviewers",
    "linking the two",
    "giving a name back",
    "done",
)
RELEASES = {"renaming in the sandbox": "rename, giving up", "reserving the name": "rename, giving up"}

WAIT_DEADLINE = 60.0  # seconds GitHub may take for what follows from a rename
WAIT_TRIES = 3  # attempts of a step that waits for GitHub


@workflow(owner="Task", scope=Scope.ORGANIZATION, steps=STEPS, releases=RELEASES)
async def rename(flow: Flow, job: OfTask) -> None:
    github = flow.doors.github
    wish = await flow.read("reading the task", rename_view, job.task)
    found = BranchOnGitHub(names=[])
    if wish.asked or not wish.giving_up:
        found = await flow.do("looking at GitHub", github.branch, wish.repository, wish.old, wish.replaces)
    renamed, pull = wish.renamed(found), wish.closes(found)
    if wish.giving_up and not renamed:
        await _go_back(flow, wish, found.pull_request)
        return
    replaces = pull and pull.number
    await flow.ask("looking at GitHub", flow.owner, RenameStep(step="reserving the name", replaces=replaces))

    reserve = ReserveRename(task=wish.task, wanted=wish.new, remote=wish.others(found))
    await flow.ask("reserving the name", addresses.repository(wish.repository.id), reserve)

    await flow.ask("renaming in the sandbox", flow.owner, RenameStep(step="renaming in the sandbox", touches=True))
    await ensure_running(flow, "renaming in the sandbox", wish.sandbox)
    await flow.do("renaming in the sandbox", flow.doors.sandboxes.rename_branch, wish.sandbox, wish.old, wish.new)

    became: PullRequestRef | None = None
    if renamed or wish.old in found.names:
        names = wish.repository, wish.old, wish.new
        await flow.ask("renaming on GitHub", flow.owner, RenameStep(step="renaming on GitHub", asks=True))
        await flow.do("renaming on GitHub", github.rename_branch, *names)
        await flow.ask("waiting for GitHub", flow.owner, RenameStep(step="waiting for GitHub"))
        became = await flow.do(
            "waiting for GitHub", github.renamed, *names, replaces, deadline=WAIT_DEADLINE, tries=WAIT_TRIES
        )
    await flow.ask("switching to the new branch", flow.owner, BranchRenamed())

    words = ""
    if pull is not None and became is not None and became.state == "closed" and not wish.giving_up:
        words = await _replace(flow, wish, pull)
        became = None
    await _end(flow, wish, wish.old, RenameEnded(pull_request=became, note=words))


async def _replace(flow: Flow, wish: RenameWish, old: OldPullRequest) -> str:
    """Open a pull request like the old one. Return what GitHub refused to copy."""
    github, where = flow.doors.github, wish.repository
    new = await _shown(flow, "opening the replacement", open_replacement, flow.doors, wish, old)
    await flow.ask("opening the replacement", flow.owner, PullRequestOpened(pull_request=new))
    said: list[str] = []
    if old.labels:
        said.append(await _shown(flow, "copying the labels", github.copy_labels, where, new.number, old.labels))
    if old.reviewers or old.teams:
        reviews = where, new.number, old.reviewers, old.teams
        said.append(await _shown(flow, "asking the reviewers", github.ask_reviewers, *reviews))
    said.append(await _shown(flow, "linking the two", link, flow.doors, wish, old.number, new.number))
    return " ".join(words for words in said if words)


async def _shown(flow: Flow, step: str, function: Callable[..., Awaitable[T]], *args: object) -> T:
    """Have the task show the step, then do it."""
    await flow.ask(step, flow.owner, RenameStep(step=step))
    return await flow.do(step, function, *args)


async def _go_back(flow: Flow, wish: RenameWish, pull: OldPullRequest | None) -> None:
    """Rename the sandbox's branch back. If the sandbox refuses, continue: the checked-out branch counts."""
    await flow.ask("renaming in the sandbox", flow.owner, RenameStep(step="renaming in the sandbox"))
    await ensure_running(flow, "renaming in the sandbox", wish.sandbox, required=False)
    words = await flow.do("renaming in the sandbox", rename_back, flow.doors, wish)
    became = pull and PullRequestRef(number=pull.number, state=pull.state, url=pull.url)
    await _end(flow, wish, wish.new, RenameEnded(pull_request=became, note=words))


async def _end(flow: Flow, wish: RenameWish, free: str, ended: RenameEnded) -> None:
    give_back = GiveBackBranch(task=wish.task, branch=free)
    await flow.ask("giving a name back", addresses.repository(wish.repository.id), give_back)
    await flow.ask("done", flow.owner, ended)


async def rename_back(doors: Doors, wish: RenameWish) -> str:
    """Why the sandbox still has the new name, if it does."""
    try:
        await doors.sandboxes.rename_branch(wish.sandbox, wish.new, wish.old)
    except FoundryError as error:
        return f"In the sandbox it may still be called {wish.new}: {error.detail}."
    return ""


async def open_replacement(doors: Doors, wish: RenameWish, old: OldPullRequest) -> PullRequestRef:
    """Like the old one, and it says which that was."""
    body = wish.replacement_body(old)
    return await doors.github.replace_pull_request(wish.repository, old, head=wish.new, body=body)


async def link(doors: Doors, wish: RenameWish, old: int, new: int) -> str:
    """A comment where the old one's readers see it."""
    words = await doors.github.comment_once(wish.repository, old, wish.comment(new))
    return words and f"#{old} does not say what replaced it: {words}."
