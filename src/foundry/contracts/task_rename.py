"""Task, its branch's rename (R8): what the edge asks, and what the workflow tells."""

from __future__ import annotations

from foundry.contracts.branch_names import BranchName
from foundry.contracts.ids import SandboxId, TaskId
from foundry.contracts.messages import Command, Model
from foundry.contracts.repository import RepositoryRef
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


class BranchOnGitHub(Model):
    """What GitHub has of a branch that is to be renamed."""

    names: list[str]  # every branch of the repository
    pull_request: OldPullRequest | None = None


class RenameWish(Model):
    """A rename as it stands when its workflow begins, and what GitHub's side means for it."""

    task: TaskId
    repository: RepositoryRef
    sandbox: SandboxId
    old: str
    new: str
    replaces: int | None
    asked: bool
    giving_up: bool

    def renamed(self, found: BranchOnGitHub) -> bool:
        """Return True if GitHub has the new name because an earlier try has asked for it."""
        return self.asked and self.new in found.names and self.old not in found.names

    def others(self, found: BranchOnGitHub) -> list[str]:
        """The branches that are not the task's: the new name may be none of them."""
        own = {self.old, self.new} if self.renamed(found) else {self.old}
        return [name for name in found.names if name not in own]

    def closes(self, found: BranchOnGitHub) -> OldPullRequest | None:
        """The pull request that GitHub closes because of it; not one that somebody else has closed."""
        pull = found.pull_request
        return None if pull is not None and pull.state == "closed" and not self.asked else pull

    def replacement_body(self, pull: OldPullRequest) -> str:
        """The body of this one, and below it what replaces it, and why."""
        why = f"Replaces #{pull.number}, which GitHub closed when the branch `{self.old}` was renamed to `{self.new}`."
        return f"{pull.body[: DESCRIPTION_LIMIT - len(why)]}\n\n---\n{why}".lstrip()

    def comment(self, number: int) -> str:
        """What the readers of the closed pull request are told: this one replaces it, and why."""
        why = f"the branch `{self.old}` was renamed to `{self.new}`, and GitHub closes a pull request then"
        return f"Replaced by #{number}: {why}."


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


def outcome(old: str, new: str, branch: str, replaces: int | None, number: int | None, *, closed: bool) -> str:
    """What is said of a rename that has ended.

    Args:
        branch: what the task's branch is called now.
        replaces: the pull request of the old name, if there was one.
        number: the task's pull request now.
        closed: GitHub closed it, and nothing replaces it.
    """
    if branch != new:
        return f"The branch is called {old} as before: the rename to {new} was given up."
    said = f"The branch was renamed from {old} to {new}."
    if replaces is None or number is None:
        return said
    if number != replaces:
        return f"{said} Pull request #{number} replaces #{replaces}."
    if closed:
        return f"{said} That closed pull request #{number}. Publish opens a new one."
    return said
