"""The rules are tried on SQLite; the runtime's own tests hold both databases to one behaviour."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world.world import World, world


@pytest.fixture
async def tree(tmp_path: Path) -> AsyncIterator[World]:
    async with world(f"sqlite:///{tmp_path}/foundry.db") as running:
        yield running
