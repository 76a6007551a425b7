"""Sandboxes: providers make them, sandbox-agent inside is what Foundry then talks to (R22).

`provider.py` is what a provider has to offer; `local/` is one, and has the file names to copy for another. `agent.py`
is the client of sandbox-agent, with `acp.py` (agents), `processes.py` and `files.py` over `calls.py` (HTTP);
it is the same for all providers.
"""
