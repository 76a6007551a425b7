"""`python -m foundry.devkit.agent`: serve ACP over stdin and stdout until stdin ends."""

from __future__ import annotations

import asyncio

import acp

from foundry.devkit.agent.agent import ScriptedAgent

if __name__ == "__main__":
    asyncio.run(acp.run_agent(ScriptedAgent()))  # pyright: ignore[reportArgumentType]: it offers what it advertises
