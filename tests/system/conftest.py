"""What the system tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundry.contracts.sandbox_provider import NodeMissing
from foundry.sandboxes.local import install
from tests.sandboxes.conftest import CACHE


@pytest.fixture(scope="session")
def sandbox_agent_cache() -> Path:
    """A data directory in which sandbox-agent is installed, kept between runs."""
    try:
        if not install.binary(CACHE).exists():
            install._install(CACHE, print)
    except NodeMissing as error:
        pytest.skip(f"sandbox-agent cannot be installed: {error.detail}")
    return CACHE
