"""Sandboxes as their providers and their sandbox-agent show them; what can go wrong there, and what to do about it."""

from __future__ import annotations

from enum import StrEnum

from foundry.contracts.errors import FoundryError
from foundry.contracts.messages import Model


class SandboxUnreachable(FoundryError, code="sandbox_unreachable", status=503):
    """The sandbox does not answer, or does not answer in time. It may come back."""

    transient = True
    remedy = (
        "Wait a moment. If it still does not answer, read the sandbox's log, then retry the task or resume the session."
    )


class SandboxGone(FoundryError, code="sandbox_gone", status=410):
    """The provider does not have this sandbox, or no longer has it. It will not come back."""

    remedy = "Wait. The task gets a new sandbox with the branch and the last checkpoint."


class SandboxTokenRefused(FoundryError, code="sandbox_token_refused", status=502):
    """A different sandbox-agent answers at this address and rejects our token."""

    remedy = "Resume the session or retry the task. That starts the sandbox again, at a new address."


class SandboxStartFailed(FoundryError, code="sandbox_start_failed", status=502):
    """sandbox-agent exited at once, or did not answer in time after its start. The detail has the end of its log."""

    transient = True
    remedy = "Read the sandbox's log, then retry."


class SandboxRefused(FoundryError, code="sandbox_refused", status=502):
    """sandbox-agent refused a request. The detail has its message."""

    remedy = "Read the detail. If it names nothing you can change, read the sandbox's log."


class SandboxPathMissing(FoundryError, code="sandbox_path_missing", status=404):
    """The sandbox has no such file or directory."""

    remedy = "Check the path. It is absolute, or relative to the sandbox's home directory."


class AcpServerGone(FoundryError, code="acp_server_gone", status=410):
    """sandbox-agent does not know the agent's connection (ACP server id), or the agent's process has exited."""

    remedy = "Resume the session. It gets a new agent process, and its history if the agent keeps one."


class AgentUnavailable(FoundryError, code="agent_unavailable", status=422):
    """The agent is unknown, is not installed, or its process does not start."""

    remedy = "Choose another agent, or install this one in the sandbox. The sandbox's log has details."


class AgentRefused(FoundryError, code="agent_refused", status=502):
    """The agent answered a request with a JSON-RPC error. The detail has the error."""

    remedy = "Read the detail. Agents that need a sign-in or a key say so there."


class InstallFailed(FoundryError, code="install_failed", status=500):
    """sandbox-agent could not be installed on this machine."""

    remedy = "Check the network and the disk, then try again. The detail has npm's message."


class NodeMissing(FoundryError, code="node_missing", status=500):
    """npm is missing, and Foundry needs it to install sandbox-agent."""

    remedy = 'Install Node.js 20 or later, or run: pip install "foundry[node]"'


class ProviderState(StrEnum):
    """What a provider says of a sandbox; whether its sandbox-agent is well is another question."""

    STOPPED = "stopped"
    RUNNING = "running"


class SandboxSpec(Model):
    """What a sandbox shall have. The same spec is given on every try."""

    agents: list[str] = []  # whose launchers or binaries are prepared
    env: dict[str, str] = {}  # for sandbox-agent and all it starts; no secrets of Foundry's


class Endpoint(Model):
    """Where a sandbox's sandbox-agent is, and how its provider finds it again. Never carries the token."""

    url: str  # without a trailing slash
    headers: dict[str, str] = {}  # that the provider's proxy wants with every request; no secrets
    pid: int | None = None  # local: of the process Foundry started
    started: int | None = None  # local: that process's start, clock ticks since boot: a pid alone may be reused
    port: int | None = None


class ProviderSandbox(Model):
    """A sandbox as its provider finds it."""

    id: str
    state: ProviderState
    endpoint: Endpoint | None = None  # while it runs


class Room(Model):
    """The file system that sandboxes lie on."""

    free: int  # bytes that may be used
    total: int  # bytes


class ProcessResult(Model):
    """A command that ran in a sandbox to its end."""

    exit_code: int | None  # absent: ended by a signal, or by the timeout
    stdout: str
    stderr: str
    timed_out: bool = False
