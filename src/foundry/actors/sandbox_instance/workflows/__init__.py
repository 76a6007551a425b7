"""The long work of a SandboxInstance."""

from foundry.actors.sandbox_instance.workflows.fetch_log import fetch_log

WORKFLOWS = [fetch_log]
