"""Sandboxes on this machine: one directory and one detached sandbox-agent each, isolated by bubblewrap where it works.

For a single Foundry on a single host, on Linux. `install.py` gets sandbox-agent, `isolation.py` builds the walls,
`processes.py` finds and ends what runs, `disk.py` measures, `provider.py` is the provider.
"""
