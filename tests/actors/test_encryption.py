"""Secrets at rest: sealed, rotated, and of no use without the key."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from foundry.actors.encryption import (
    SealedUnder,
    Sealer,
    WrongKey,
    drop_old_keys,
    keys_in,
    load_or_create_key,
    put_key_in_front,
)

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


def test_a_sealer_tells_which_key_a_text_is_sealed_under() -> None:
    sealer = Sealer([NEW, OLD])
    assert sealer.under(sealer.seal("x")) is SealedUnder.NEWEST
    assert sealer.under(Sealer([OLD]).seal("x")) is SealedUnder.OLDER
    assert sealer.under("no sealed text") is SealedUnder.UNKNOWN


def test_one_key_is_taken_as_it_is_and_several_are_separated() -> None:
    assert keys_in(OLD, b"\n") == [OLD]
    assert keys_in(NEW + b"\n" + OLD, b"\n")[:2] == [NEW, OLD]
    with pytest.raises(ValueError, match="at least 16"):
        keys_in(b"short\n" + OLD, b"\n")


def test_an_old_key_with_a_separator_in_it_still_opens() -> None:
    """Release 0.3 took the whole as one key."""
    old = b"it was one key until now, although it has a comma"
    sealed = Sealer([old]).seal("gho_token")
    sealer = Sealer(keys_in(old, b","))
    assert sealer.unseal(sealed) == "gho_token"
    assert sealer.under(sealed) is SealedUnder.OLDER


def test_a_key_is_put_in_front_and_the_old_ones_go(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    first = load_or_create_key(path)
    both = put_key_in_front(path)
    assert keys_in(both, b"\n")[1] == first
    assert Sealer(keys_in(both, b"\n")).unseal(Sealer([first]).seal("x")) == "x"
    newest = keys_in(both, b"\n")[0]
    assert drop_old_keys(path) == load_or_create_key(path) == newest
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [found.name for found in path.parent.iterdir()] == ["secret.key"]
