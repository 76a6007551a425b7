"""Sandboxes: providers create them; afterwards Foundry talks to the sandbox-agent inside (R22).

`provider.py` is the protocol of a provider. `local/` implements it; to add another provider, copy its file names.
`agent.py` is the client of sandbox-agent and is the same for all providers. `acp.py` (agents), `processes.py` and
`files.py` belong to it and use `calls.py` (HTTP).
"""
