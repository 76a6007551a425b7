"""The doors to the outside, as workflow steps and workers see them. The composition root hands them over.

The outside is reached only through the package that owns it: GitHub through `actors/github_state/door.py`, sandboxes
through `actors/sandbox_instance/door.py`, agents (ACP) through `actors/task_session/door.py`. No method returns or
logs a secret; a git credential lives inside the `async with` that uses it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from foundry.contracts.github_access import ListedPage, Reached, Role, SingleRight
from foundry.contracts.github_payloads import GitHubBudget
from foundry.contracts.github_state import PullRequestView
from foundry.contracts.ids import OrganizationId, RepositoryId, SandboxId, UserId
from foundry.contracts.people import Person
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.sandbox_instance import Compared, Made
from foundry.contracts.sandbox_provider import Endpoint, Room
from foundry.contracts.session_stream import AgentSession, Signs, StreamItem
from foundry.contracts.task import PullRequestRef, WorkTree
from foundry.contracts.task_checkpoints import Saved
from foundry.contracts.task_rename import BranchOnGitHub, OldPullRequest


class GitHubDoor(Protocol):
    """GitHub's API, as the App's installation. GitHubState's own workflows use more of it than stands here."""

    async def branch_names(self, repository: RepositoryRef) -> list[str]:
        """Every branch of the repository on GitHub."""
        ...

    async def repository(self, repository: RepositoryRef) -> RepositoryRef:
        """The repository as it is called now."""
        ...

    def credential(self, repository: RepositoryRef, *, write: bool) -> AbstractAsyncContextManager[str]:
        """A token for git, good for this repository alone; audited, and revoked at the end of the `async with`."""
        ...

    async def require_push(self, repository: RepositoryRef, person: Person) -> None:
        """Require that this person may push to the repository now, because something is done in their name.

        Raises:
            Forbidden: they may not.
        """
        ...

    async def open_pull_request(
        self,
        repository: RepositoryRef,
        *,
        head: str,
        base: str,
        title: str,
        body: str,
        draft: bool,
        person: UserId | None = None,
    ) -> PullRequestRef:
        """The open pull request of this head, made if there is none; a repeat finds the first one's.

        Args:
            person: its author, if GitHub lets Foundry act for them; else the App is.
        """
        ...

    async def heads(self, repository: RepositoryRef, names: list[str]) -> dict[str, str]:
        """Where those of these branches are that exist on GitHub. An unchanged answer costs nothing of its budget."""
        ...

    async def open_pull_requests(self, repository: RepositoryRef) -> list[int]:
        """The numbers of the open ones; at the same price."""
        ...

    async def pull_request(self, repository: RepositoryRef, number: int) -> PullRequestView | None:
        """One, whatever became of it; none if GitHub does not show it."""
        ...

    # renaming a branch

    async def branch(self, repository: RepositoryRef, head: str, replaces: int | None) -> BranchOnGitHub:
        """All branches, and the open pull request of this head, or the one of this number in any state."""
        ...

    async def rename_branch(self, repository: RepositoryRef, old: str, new: str) -> None:
        """Ask GitHub to rename it; a repeat finds it renamed. GitHub goes on in the background."""
        ...

    async def renamed(
        self, repository: RepositoryRef, old: str, new: str, replaces: int | None
    ) -> PullRequestRef | None:
        """Wait until GitHub has done all that follows from a rename; gives what became of that pull request."""
        ...

    async def replace_pull_request(
        self, repository: RepositoryRef, old: OldPullRequest, *, head: str, body: str
    ) -> PullRequestRef:
        """One like it for the branch's new name; a repeat finds it, whatever became of it since."""
        ...

    async def copy_labels(self, repository: RepositoryRef, number: int, labels: list[str]) -> str:
        """Put these labels of the old one on it; gives what to tell a person where GitHub refuses."""
        ...

    async def ask_reviewers(self, repository: RepositoryRef, number: int, logins: list[str], teams: list[str]) -> str:
        """Ask for these reviews again; gives what to tell a person where GitHub refuses."""
        ...

    async def comment_once(self, repository: RepositoryRef, number: int, body: str) -> str:
        """Say this there, unless it stands there; gives GitHub's words where it refuses."""
        ...


class AccessDoor(Protocol):
    """What people may do, as GitHub says it now: the only questions that the edge asks GitHub."""

    async def reached(self, person: UserId) -> Reached:
        """The installations of the App that the person may use.

        Raises:
            ReconnectNeeded: the person has no usable token. So do the others that ask with it.
        """
        ...

    async def role(self, person: UserId, organization: OrganizationId) -> Role:
        """What the person is in the organization.

        Raises:
            SingleSignOnNeeded: the organization requires it. So do the others that ask with the person's token.
        """
        ...

    async def listed(self, person: UserId, organization: OrganizationId, page: int, etag: str) -> ListedPage | None:
        """One page of the organization's repositories that the person reaches, or that are public for EVERYBODY.

        Args:
            page: from 1.
            etag: of this page when it was last read; None is returned if it has not changed.
        """
        ...

    async def right(self, person: UserId, repository: RepositoryId) -> SingleRight:
        """What the person may do with one repository."""
        ...

    async def right_by_app(self, person: UserId, organization: OrganizationId, repository: RepositoryId) -> SingleRight:
        """The same, asked by the App: for a person without a usable token.

        Raises:
            GitHubRateLimited: what is left of the App's budget is kept for other work.
        """
        ...

    async def budget(self, organization: OrganizationId) -> GitHubBudget | None:
        """The App's requests in this hour, as GitHub last reported them; None if the App is not installed there."""
        ...


class SandboxDoor(Protocol):
    """Providers and, once a sandbox exists, its sandbox-agent's processes and files (R22)."""

    async def create(self, sandbox: SandboxId, agents: list[str]) -> Made:
        """Make it at the provider under this name; a repeat finds it."""
        ...

    async def start(self, sandbox: SandboxId) -> Endpoint:
        """Start sandbox-agent in it; found again if it runs already."""
        ...

    async def wait_healthy(self, sandbox: SandboxId) -> None: ...
    async def exists(self, sandbox: SandboxId) -> bool:
        """Whether the provider knows it and its sandbox-agent answers."""
        ...

    async def compare(self, recorded: list[SandboxId]) -> Compared:
        """Which of these the provider does not have, and which it has besides."""
        ...

    async def usage(self, sandbox: SandboxId) -> int | None:
        """The bytes that its files take, measured now, which may take a minute; None: that cannot be told."""
        ...

    async def room(self) -> Room | None:
        """What is left where the sandboxes lie; None: that cannot be told."""
        ...

    async def stop(self, sandbox: SandboxId) -> None: ...
    async def delete(self, sandbox: SandboxId) -> None: ...
    async def log(self, sandbox: SandboxId) -> str:
        """The end of sandbox-agent's log, at most 64 KiB."""
        ...

    async def install_agent(self, sandbox: SandboxId, agent: str) -> None: ...
    async def clone(
        self, sandbox: SandboxId, repository: RepositoryRef, *, branch: str, base: str, person: Person, token: str
    ) -> str:
        """Clone, cut the branch from its base (or check it out if it is there), set who commits; gives the head."""
        ...

    async def work_tree(self, sandbox: SandboxId, base: str) -> WorkTree: ...
    async def rename_branch(self, sandbox: SandboxId, old: str, new: str) -> None:
        """Rename the local branch and what it follows; its commits, the index and the files stay as they are.

        Raises:
            foundry.contracts.tasks.BranchTaken: the sandbox has another branch of that name.
        """
        ...

    async def wake(self, sandbox: SandboxId) -> Endpoint | None:
        """Start its sandbox-agent if it does not answer; where that is now, None if it answered.

        Raises:
            foundry.contracts.sandboxes.SandboxGone: the provider has no such sandbox.
        """
        ...

    async def awake(self, sandbox: SandboxId) -> bool:
        """Start its sandbox-agent if it does not answer; False: the provider has no such sandbox."""
        ...

    async def save(self, sandbox: SandboxId, key: str, known: str) -> Saved:
        """Keep all of the work under this key; nothing is kept if it has the fingerprint `known`.

        Raises:
            foundry.contracts.checkpoints.CheckpointTooLarge: it is more than a checkpoint may hold.
        """
        ...

    async def restore(
        self,
        sandbox: SandboxId,
        key: str,
        saved: Saved,
        *,
        branch: str,
        base: str,
        keep_newer: bool,
        spare: Sequence[str] = (),
    ) -> str:
        """Bring back what was saved under this key, on this branch; gives its head.

        Args:
            keep_newer: leave branch and files alone where GitHub has gone on from the saved head.
            spare: paths that no checkpoint has; they stay.

        Raises:
            foundry.contracts.checkpoints.CheckpointMissing: nothing is kept under the key.
            foundry.contracts.checkpoints.CheckpointUnfit: it does not fit this clone.
        """
        ...

    async def forget(self, prefix: str, keep: list[str]) -> None:
        """Let go of everything saved under keys that begin so, but for these keys."""
        ...

    async def fetch(
        self, sandbox: SandboxId, repository: RepositoryRef, *, branch: str, base: str, token: str
    ) -> str | None:
        """Get GitHub's commits of both as origin/..., and nothing else; gives the branch's head there, none if it is
        not there."""
        ...

    async def forward(self, sandbox: SandboxId, branch: str) -> int:
        """Bring the work tree forward to what was fetched, where nothing is uncommitted and there are no commits of its
        own; gives by how many commits."""
        ...

    async def push(self, sandbox: SandboxId, repository: RepositoryRef, *, branch: str, token: str) -> str:
        """Push the branch; gives the head that GitHub now has."""
        ...


class AgentDoor(Protocol):
    """ACP through sandbox-agent."""

    async def open(
        self, sandbox: SandboxId, server_id: str, agent: str, *, earlier: AgentSession | None, load: bool = False
    ) -> AgentSession:
        """Start the agent's process and open its session: the earlier one where the agent offers load or resume, else
        a new one. A repeat finds the session that an earlier try opened, and ends what a try left half open.

        Args:
            server_id: the chosen one. If it ends with `EACH_TRY`, each try makes its own of it: a request of a try that
                was given up, and still arrives, must not reach the agent of the next one.
            load: rather than resume, and so that the history it tells can be read afterwards.
        """
        ...

    async def prompt(self, sandbox: SandboxId, session: AgentSession, rpc_id: str, text: str) -> None:
        """Give the agent a prompt; returns once the server has taken it, never waits for its end."""
        ...

    async def cancel(self, sandbox: SandboxId, session: AgentSession) -> None: ...
    async def answer(self, sandbox: SandboxId, session: AgentSession, rpc_id: str, option: str | None) -> None:
        """Answer a permission request with an option's id; None: cancelled.

        Args:
            rpc_id: the request's JSON-RPC id as JSON text: agents use numbers and strings.
        """
        ...

    def stream(self, sandbox: SandboxId, server_id: str, after: int) -> AsyncIterator[StreamItem]:
        """The server's events after this id, until it ends or breaks.

        Raises:
            foundry.contracts.sandboxes.SandboxUnreachable: nobody answers; try again.
            foundry.contracts.sandboxes.AcpServerGone: the server id is unknown there; it will not come back.
        """
        ...

    async def record(self, sandbox: SandboxId, server_id: str) -> None:
        """Return once the server's stream is being written down inside the sandbox; a repeat keeps what does so.

        Raises:
            foundry.contracts.sandboxes.SandboxRefused: that is not possible there, or the server id is unknown.
        """
        ...

    def recorded(self, sandbox: SandboxId, server_id: str, after: int) -> AsyncIterator[StreamItem]:
        """What was written down after this id, in order and each event once; it may begin later, and have jumps."""
        ...

    async def signs(self, sandbox: SandboxId, server_id: str) -> Signs:
        """Whether the agent's process is there, and whether anything in its sandbox works; takes some seconds."""
        ...

    async def servers(self, sandbox: SandboxId) -> list[str]:
        """The server ids that its sandbox-agent has."""
        ...

    async def end(self, sandbox: SandboxId, server_id: str) -> None:
        """End the agent's process; what was written down of its stream stays.

        Args:
            server_id: of one agent, or the chosen one: then all that the tries of its opening made of it.
        """
        ...

    async def close(self, sandbox: SandboxId, server_id: str) -> None:
        """Like `end`, and let go of what was written down of its stream."""
        ...


class Doors(Protocol):
    """One attribute per outside."""

    @property
    def github(self) -> GitHubDoor: ...
    @property
    def sandboxes(self) -> SandboxDoor: ...
    @property
    def agents(self) -> AgentDoor: ...
