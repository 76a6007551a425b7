"""Large content beside the rows: in parts, whole when it is read, replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from foundry.runtime.store import blobs
from foundry.runtime.store.blobs import PART, Blobs
from tests.runtime.toys import running


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Blobs]:
    async with running(store_url) as runtime:
        yield Blobs(runtime)


@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART + 7])
async def test_what_was_written_is_read(store: Blobs, size: int) -> None:
    content = os.urandom(size)
    await store.write("a/b", content)
    assert await store.read("a/b") == content
    assert await store.read("a/c") is None


async def test_a_second_write_stands_for_the_first_and_a_key_can_be_forgotten(store: Blobs) -> None:
    await store.write("a/b", b"x" * (2 * PART))
    await store.write("a/b", b"short")
    await store.write("a_b", b"another")
    assert await store.read("a/b") == b"short"
    assert await store.keys("a") == ["a/b", "a_b"]
    assert await store.keys("a/") == ["a/b"]
    assert await store.keys("a_") == ["a_b"], "an underscore is no wildcard"
    await store.delete("a/b")
    await store.delete("a/b")
    assert await store.read("a/b") is None


async def test_no_part_keeps_others_waiting_long() -> None:
    assert blobs.PART <= 1024 * 1024
