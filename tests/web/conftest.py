"""The pages on the API's stage: four people, two repositories, an outside that does what a test tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from foundry import web
from tests.api.edge import Edge, running


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with running(tmp_path) as found:
        web.install(found.app)
        yield found
