"""What is asked of and sent to a SandboxInstance."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from foundry.contracts.errors import FoundryError
from foundry.contracts.ids import SandboxId, TaskId
from foundry.contracts.messages import Birth, Command, Event, Message, Model
from foundry.contracts.sandbox_provider import Endpoint


class SandboxState(StrEnum):
    CREATING = "creating"
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    UNREACHABLE = "unreachable"
    RETAINED = "retained"  # released by its task, but its work is nowhere else
    LOST = "lost"  # the provider no longer has it
    DELETED = "deleted"


class SandboxView(Model):
    """A sandbox as its page and the task's show it."""

    id: SandboxId
    task: TaskId
    provider: str
    state: SandboxState
    state_since: datetime
    endpoint: Endpoint | None = None
    warning: str = ""  # e.g. that it is not isolated
    log: str = ""  # the end of sandbox-agent's log, as last read
    disk: int | None = None  # bytes that its files take, as last measured; none: its provider cannot tell, or not yet
    remove_at: datetime | None = None  # its task is archived: it is stopped, and removed then


class Made(Model):
    """What a provider said of a sandbox it made."""

    provider: str
    warning: str = ""


class Compared(Model):
    """What a provider has, beside what is recorded."""

    missing: list[SandboxId] = []  # recorded, and not there
    unknown: list[SandboxId] = []  # there, and not among those recorded


class Orphan(Model):
    """A sandbox that its provider has and that nobody uses: not recorded, or taken for lost. Work may be in it."""

    id: SandboxId
    disk: int | None = None  # bytes, as last measured
    failure: str = ""  # why it could not be removed


class OrphanView(Orphan):
    """One as the server's admin sees it."""

    since: datetime  # when it was first seen
    removing: bool = False  # somebody asked for that


class OrphansSeen(Command[list[SandboxId]]):
    """To AppShell, by who compared: all orphans there are now. Answered with those that are to be removed."""

    orphans: list[Orphan]


class RemoveOrphan(Command[OrphanView]):
    """To AppShell, by the edge: remove this one, with all that is in it, when sandboxes are compared next."""

    sandbox: SandboxId


class SandboxChanged(Event):
    """On `sandbox`: the whole new sandbox."""

    sandbox: SandboxView


class CreateSandbox(Command[None], Birth):
    """To SandboxInstance, by a step: its first word; the provider's create follows."""

    id: SandboxId
    task: TaskId


class SandboxMoved(Command[None]):
    """To SandboxInstance, by a step: the provider or sandbox-agent has shown this."""

    state: SandboxState
    endpoint: Endpoint | None = None
    provider: str = ""
    warning: str | None = None
    remove_at: datetime | None = None  # stopped until then


class DiskSeen(Command[None]):
    """To SandboxInstance, by who measured: what its files take has changed notably."""

    disk: int  # bytes


class SandboxVanished(Command[None]):
    """To SandboxInstance, by who compared: the provider has no such sandbox any more."""


class SandboxMissing(Message):
    """To Task, by its session or by SandboxInstance: the provider no longer has this sandbox."""

    sandbox: SandboxId


class ForgetSandbox(Message):
    """Task -> SandboxInstance: it is lost, and another one takes its place or none."""


class LogSeen(Command[None]):
    """To SandboxInstance, by a step: the end of the log."""

    log: str


class ReadLog(Command[None]):
    """To SandboxInstance, by the edge: read the log's end again, in the background."""


class GitFailed(FoundryError, code="git_failed", status=502):
    """A git command in the sandbox failed. The detail has git's message."""

    transient = True
    remedy = "Read git's message. If GitHub or the network was unavailable, retry."


class GitNotVisible(FoundryError, code="git_not_visible", status=502):
    """The sandbox has no working git at the path that Foundry uses."""

    remedy = "Install git where sandboxes see it, such as /usr/bin/git, restart Foundry, then retry."


class GitRejected(FoundryError, code="git_rejected", status=409):
    """GitHub has commits on the branch that the sandbox does not have. Foundry starts a fetch automatically."""

    remedy = "Wait for the fetch, let the agent merge origin/BRANCH, then publish again."


class BaseMissing(FoundryError, code="base_missing", status=422):
    """The base branch does not exist on GitHub."""

    remedy = "Choose a branch that exists; an empty repository needs a first commit."


class GitConfigRefused(FoundryError, code="git_config_refused", status=409):
    """The work tree's git config could run programs or send the credential elsewhere, so Foundry does not run git
    there."""

    remedy = "Remove the listed entries from .git/config in the sandbox, then try again."
