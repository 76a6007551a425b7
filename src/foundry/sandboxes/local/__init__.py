"""Sandboxes on this machine. Each has one directory and one detached sandbox-agent, isolated by bubblewrap if it works.

For a single Foundry on a single Linux host. `install.py` installs sandbox-agent, `isolation.py` builds the walls,
`processes.py` finds and ends processes, `disk.py` measures disk usage, and `provider.py` is the provider.
"""
