"""Task, its branch's rename (R8): what the edge asks, and what the workflow tells."""

from __future__ import annotations

from foundry.contracts.branch_names import BranchName
from foundry.contracts.messages import Command, Model
from foundry.contracts.task import PullRequestRef, TaskView

DESCRIPTION_LIMIT = 65_000  # characters of a pull request's body; GitHub takes 65,536


class OldPullRequest(Model):
    """What a replacement takes over from the pull request that the rename closes."""

    number: int
    state: str  # open, closed, merged
    url: str = ""
    title: str
    body: str = ""
    base: str
    draft: bool = False
    labels: list[str] = []
    reviewers: list[str] = []  # logins
    teams: list[str] = []  # slugs

    def replacement_body(self, old: str, new: str) -> str:
        """Its body, and below it what the replacement replaces: this one, whose branch was renamed."""
        why = f"Replaces #{self.number}, which GitHub closed when the branch `{old}` was renamed to `{new}`."
        return f"{self.body[: DESCRIPTION_LIMIT - len(why)]}\n\n---\n{why}".lstrip()


class BranchOnGitHub(Model):
    """What GitHub has of a branch that is to be renamed."""

    names: list[str]  # every branch of the repository
    pull_request: OldPullRequest | None = None


class RenameBranch(Command[TaskView]):
    """To Task: give its branch this name, in the sandbox and on GitHub. After a failure the same name goes on."""

    name: BranchName


class CancelRename(Command[TaskView]):
    """To Task: end a rename that failed. The old name comes back, unless GitHub has the new one already."""


class RenameStep(Command[None]):
    """To Task, before each thing the rename does outside: what it is about to do."""

    step: str
    replaces: int | None = None  # the open pull request that it will close
    touches: bool = False  # from here on something may have the new name
    asks: bool = False  # from here on GitHub may close the pull request


class BranchRenamed(Command[None]):
    """To Task: sandbox and GitHub have the new name."""


class RenameEnded(Command[None]):
    """To Task."""

    pull_request: PullRequestRef | None = None  # what became of the old one, where nothing replaces it
    note: str = ""  # what did not go as it should
