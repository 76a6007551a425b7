"""What a sandbox takes on disk: blocks, each once, and nothing beyond it; and what is left beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from foundry.contracts.errors import FoundryError
from foundry.contracts.sandbox_provider import SandboxSpec
from foundry.contracts.sizes import human
from foundry.sandboxes.local import disk
from foundry.sandboxes.local.isolation import Walls
from foundry.sandboxes.local.provider import LocalProvider

MEGABYTE = 1024 * 1024


@pytest.fixture
def provider(tmp_path: Path) -> LocalProvider:
    return LocalProvider(tmp_path / "data", walls=Walls(None, "not isolated"))


async def empty(provider: LocalProvider, tmp_path: Path) -> tuple[Path, int]:
    """A new sandbox's work directory, and what the sandbox takes."""
    await provider.create("sbx_1", SandboxSpec())
    size = await provider.usage("sbx_1")
    assert size is not None
    return tmp_path / "data" / "sandboxes" / "sbx_1" / "work", size


def grown(before: int, after: int | None) -> float:
    """Megabytes."""
    assert after is not None
    return round((after - before) / MEGABYTE, 1)


async def test_files_are_counted_by_their_blocks(provider: LocalProvider, tmp_path: Path):
    work, before = await empty(provider, tmp_path)
    (work / "deep" / "er").mkdir(parents=True)
    (work / "deep" / "er" / "file").write_bytes(os.urandom(3 * MEGABYTE))
    assert grown(before, await provider.usage("sbx_1")) == 3.0
    with (work / "sparse").open("wb") as sparse:
        sparse.truncate(500 * MEGABYTE)
    assert grown(before, await provider.usage("sbx_1")) == 3.0


async def test_what_has_several_names_is_counted_once(provider: LocalProvider, tmp_path: Path):
    work, before = await empty(provider, tmp_path)
    (work / "one").write_bytes(os.urandom(2 * MEGABYTE))
    for number in range(5):
        (work / f"name-{number}").hardlink_to(work / "one")
    assert grown(before, await provider.usage("sbx_1")) == 2.0


async def test_a_link_is_not_followed(provider: LocalProvider, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(os.urandom(4 * MEGABYTE))
    work, before = await empty(provider, tmp_path)
    (work / "folder").symlink_to(outside)
    (work / "file").symlink_to(outside / "file")
    (work / "around").symlink_to(work)
    assert grown(before, await provider.usage("sbx_1")) == 0.0


async def test_odd_names_and_what_may_not_be_read_are_not_a_failure(provider: LocalProvider, tmp_path: Path):
    work, before = await empty(provider, tmp_path)
    (work / "-rf \n *").write_bytes(os.urandom(MEGABYTE))
    (work / "shut").mkdir(mode=0o000)
    try:
        assert grown(before, await provider.usage("sbx_1")) == 1.0
    finally:
        (work / "shut").chmod(0o700)


async def test_of_one_that_is_not_there_nothing_can_be_told(provider: LocalProvider):
    assert await provider.usage("sbx_none") is None
    with pytest.raises(FoundryError):
        await provider.usage("../elsewhere")


async def test_one_that_takes_too_long_is_given_up(tmp_path: Path):
    assert await disk.usage(tmp_path, limit=0.0) is None


async def test_what_is_left_is_the_data_directorys(provider: LocalProvider, tmp_path: Path):
    assert await provider.room() is None
    await provider.create("sbx_1", SandboxSpec())
    room = await provider.room()
    assert room is not None
    assert 0 < room.free <= room.total == os.statvfs(tmp_path).f_blocks * os.statvfs(tmp_path).f_frsize


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 KB"),
        (9_960, "10 KB"),
        (120_400_000, "120 MB"),
        (999_600_000, "1.0 GB"),
        (1_250_000_000, "1.2 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_a_size_is_said_in_a_few_characters(size: int, words: str):
    assert human(size) == words
