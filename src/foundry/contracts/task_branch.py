"""Task, its branch on GitHub: what is told of it, and what a fetch of its commits tells."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from foundry.contracts.messages import Command, Message, Model


class UpstreamState(StrEnum):
    EVEN = "even"  # it has nothing that is not here
    AHEAD = "ahead"  # it is at a commit that is not here
    FETCHED = "fetched"  # its commits are here as origin/BRANCH, and not in the task's branch
    DELETED = "deleted"


class Upstream(Model):
    """The task's branch on GitHub, as last heard."""

    head: str | None  # none: it was deleted; empty: it was made, and GitHub has not said at which commit
    state: UpstreamState
    said: str = ""  # what a person should know of it; empty: nothing


class BranchMoved(Message):
    """GitHubState -> Repository -> Task: where a branch is on GitHub.

    By a webhook (`at`, and `before` where it is told), or by who compared: then `compared` is set, and `before` is what
    the task was thought to know.
    """

    branch: str
    head: str | None  # none: it is gone; empty: it was made, at a commit that is not told
    before: str | None = None  # none: there was none, or it is not told
    at: datetime | None = None  # GitHub's clock, in whole seconds
    compared: bool = False


class Fetched(Command[None]):
    """To Task, by a fetch: where the branch is on GitHub, and where it was thought to be when the fetch began."""

    head: str | None
    known: str | None


class MayForward(Command[bool]):
    """To Task, by a fetch: whether it may write the work tree. If so no prompt gets it until the fetch has ended."""


class FetchEnded(Command[None]):
    """To Task."""

    commits: int = 0  # by which the work tree was brought forward
