"""Fixtures for the API's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.api.edge import Edge, running


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[Edge]:
    async with running(tmp_path) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one_edge(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Edge]:
    """One server for all of a module's tests: they leave nothing behind."""
    async with running(tmp_path_factory.mktemp("edge")) as found:
        yield found
