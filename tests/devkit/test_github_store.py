"""The storage: cached kinds read as they were written, and a transaction is whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from foundry.devkit.github.store import CACHED, Store


@pytest.mark.parametrize("kind", [*sorted(CACHED), "token"])
def test_a_failed_transaction_leaves_nothing(tmp_path: Path, kind: str) -> None:
    store = Store(tmp_path)
    store.put(kind, "a", {"n": 1})

    def change() -> None:
        with store.transaction():
            store.put(kind, "a", {"n": 2})
            store.rekey(kind, "a", "b")
            raise RuntimeError("cut off")

    with pytest.raises(RuntimeError):
        change()
    for seen in (store, Store(tmp_path)):
        assert (seen.get(kind, "a"), seen.get(kind, "b"), seen.keys(kind)) == ({"n": 1}, None, ["a"])


@pytest.mark.parametrize("kind", ["user", "token"])
def test_a_document_keeps_its_place_and_nobody_changes_it_by_reading(tmp_path: Path, kind: str) -> None:
    store = Store(tmp_path)
    for key in ("a", "b", "c"):
        store.put(kind, key, {"key": key})
    store.all(kind)[0]["key"] = "changed"
    (store.get(kind, "b") or {})["key"] = "changed"
    store.rekey(kind, "a", "z")
    store.put(kind, "z", {"key": "z"})
    store.remove(kind, "c")
    for seen in (store, Store(tmp_path)):
        assert [body["key"] for body in seen.all(kind)] == ["z", "b"]
