"""SandboxInstance: one sandbox, separate from the task that uses it (R9)."""
