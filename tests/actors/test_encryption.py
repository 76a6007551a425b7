"""Secrets at rest: sealed, rotated, and of no use without the key."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from foundry.actors.encryption import Sealer, WrongKey, load_or_create_key

OLD, NEW = b"old key material, long enough", b"new key material, long enough"


def test_a_rotated_key_opens_what_the_old_one_sealed() -> None:
    sealed = Sealer([OLD]).seal("gho_token")
    assert "gho_token" not in sealed
    assert Sealer([NEW, OLD]).unseal(sealed) == "gho_token"
    again = Sealer([NEW, OLD]).seal("gho_token")
    assert Sealer([NEW]).unseal(again) == "gho_token"


def test_another_key_is_refused_with_what_to_do() -> None:
    with pytest.raises(WrongKey) as caught:
        Sealer([NEW]).unseal(Sealer([OLD]).seal("x"))
    assert "FOUNDRY_SECRET_KEY" in caught.value.remedy


@pytest.mark.parametrize("keys", [[], [b"short"]])
def test_no_key_and_a_short_key_are_refused(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="key"):
        Sealer(keys)


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "secret.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(load_or_create_key, [path] * 16))
    assert keys == {load_or_create_key(path)}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["secret.key"]


def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    load_or_create_key(path)
    path.chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 600"):
        load_or_create_key(path)
