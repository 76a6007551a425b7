"""A scripted ACP agent: a stand-in for a coding agent that does exactly, and really, what its prompt's script says.

Run as `python -m foundry.devkit.agent` over stdio; sandbox-agent starts it from its `mock` slot. `script.py` has the
language, `performer.py` does what it says, `memory.py` keeps what was said under `$HOME/.scripted-agent`.
"""
