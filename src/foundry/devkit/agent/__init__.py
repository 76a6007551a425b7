"""A scripted ACP agent: a stand-in for a coding agent. It does exactly what the script in its prompt says, for real.

It runs as `python -m foundry.devkit.agent` over stdio; sandbox-agent starts it from its `mock` slot. `script.py` has
the script language, `performer.py` performs it, and `memory.py` stores the history under `$HOME/.scripted-agent`.
"""
