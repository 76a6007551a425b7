"""That each mutation still fits the code; `make mutations` tries them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.mutations import MUTATIONS, Mutation

SRC = Path(__file__).parents[2] / "src" / "foundry"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_it_can_be_put_in(mutation: Mutation) -> None:
    assert (SRC / mutation.file).read_text().count(mutation.old) == 1
    assert mutation.old != mutation.new
    assert all((SRC.parents[1] / name).exists() for name in mutation.tests)
