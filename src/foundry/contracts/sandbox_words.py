"""What is asked of and sent to a SandboxInstance."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from foundry.contracts.ids import SandboxId, TaskId
from foundry.contracts.sandboxes import Endpoint
from foundry.contracts.words import Birth, Command, Event, Word


class SandboxState(StrEnum):
    CREATING = "creating"
    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    UNREACHABLE = "unreachable"
    KEPT = "kept"  # released by its task, but its work is nowhere else
    DELETED = "deleted"


class SandboxView(Word):
    """A sandbox as its page and the task's show it."""

    id: SandboxId
    task: TaskId
    provider: str
    state: SandboxState
    state_since: datetime
    endpoint: Endpoint | None = None
    warning: str = ""  # e.g. that it is not isolated
    log: str = ""  # the end of sandbox-agent's log, as last read


class Made(Word):
    """What a provider said of a sandbox it made."""

    provider: str
    warning: str = ""


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


class LogSeen(Command[None]):
    """To SandboxInstance, by a step: the end of the log."""

    log: str


class ReadLog(Command[None]):
    """To SandboxInstance, by the edge: read the log's end again, in the background."""
