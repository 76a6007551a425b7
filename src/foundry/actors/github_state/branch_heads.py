"""GitHubState(org): forwards what GitHub reports about branches to their Repository, and stores nothing.

Whoever holds a branch decides whether it is news: deliveries come late, twice and in another order.
"""

from __future__ import annotations

from foundry.actors.github_state.tables import github_repositories
from foundry.contracts import addresses
from foundry.contracts.github_state import HookPayload, RecordBranches
from foundry.contracts.ids import RepositoryId
from foundry.contracts.task_branch import BranchMoved
from foundry.runtime.actor import handles
from foundry.runtime.turn import Turn

EVENTS = {"push", "create", "delete"}
HEADS = "refs/heads/"


def branch_event(turn: Turn, event: str, payload: HookPayload) -> None:
    """Handle one delivery. Deliveries about tags, or about repositories that are not known yet, are ignored."""
    moved, repository = branch_moved(event, payload), payload.repository
    if moved is not None and repository is not None:
        _tell_of_branch(turn, RepositoryId(str(repository.id)), moved)


@handles(RecordBranches)
def record_branches(turn: Turn, command: RecordBranches) -> None:
    for moved in command.moved:
        _tell_of_branch(turn, command.repository, moved)


def _tell_of_branch(turn: Turn, repository: RepositoryId, moved: BranchMoved) -> None:
    if turn.find(github_repositories, repository=repository) is not None:
        turn.send(addresses.repository(repository), moved)


def branch_moved(event: str, payload: HookPayload) -> BranchMoved | None:
    """What a delivery says of a branch; none if it is of something else.

    A push is told of what is made and deleted too, with its commits; `create` and `delete` name the branch alone.
    """
    at = payload.repository.pushed_at if payload.repository else None
    if event == "push" and payload.ref.startswith(HEADS) and payload.after:
        branch = payload.ref.removeprefix(HEADS)
        return BranchMoved(branch=branch, head=_commit(payload.after), before=_commit(payload.before), at=at)
    if event in ("create", "delete") and payload.ref_type == "branch":
        return BranchMoved(branch=payload.ref, head="" if event == "create" else None, at=at)
    return None


def _commit(sha: str) -> str | None:
    """Return None for the zeros that GitHub sends if there is no branch."""
    return sha if sha.strip("0") else None
