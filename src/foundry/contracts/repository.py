"""Repository: its index and its branch reservations."""

from __future__ import annotations

from foundry.contracts.branch_names import BranchName
from foundry.contracts.ids import OrganizationId, RepositoryId, TaskId
from foundry.contracts.messages import Birth, Command, Event, Message, Model


class RepositoryRef(Model):
    """A repository as tasks and lists name it. A rename or transfer changes all but the id."""

    id: RepositoryId
    organization: OrganizationId
    owner: str  # login
    name: str
    default_branch: str = "main"
    private: bool = False
    clone_url: str = ""
    html_url: str = ""

    @classmethod
    def of(cls, id: RepositoryId, organization: OrganizationId) -> RepositoryRef:
        """One of which no more is known here: whoever shows or uses more of it looks it up."""
        return cls(id=id, organization=organization, owner="", name="")

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"


class RepositorySeen(Message, Birth):
    """To Repository: GitHub says it exists."""

    repository: RepositoryRef


class RepositoryChanged(Event):
    """On `repository`: its name, owner, visibility or default branch."""

    ref: RepositoryRef


class ReserveRename(Command[None]):
    """To Repository: hold this name for the task too, or refuse."""

    task: TaskId
    wanted: BranchName
    remote: list[str] = []  # other branches that exist on GitHub


class GiveBackBranch(Command[None]):
    """To Repository: of the two names that the task holds, this one is free again."""

    task: TaskId
    branch: BranchName


class ReserveBranch(Command[str]):
    """To Repository: this branch, or it with a suffix where taken; answered with the one reserved."""

    task: TaskId
    wanted: BranchName
    exact: bool = False  # the person chose it: refuse instead of adding a suffix
    remote: list[str] = []  # branches that exist on GitHub
