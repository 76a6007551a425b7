"""R28: docs/architecture.md shows the tree and the rules; it cannot drift from the registry in the code."""

from __future__ import annotations

import re
from pathlib import Path

from foundry.app import house
from foundry.runtime.actor import Registry

ROOT = Path(__file__).resolve().parent.parent.parent
TEXT = (ROOT / "docs" / "architecture.md").read_text()


def test_the_tree_shows_every_actor_kind_and_no_other() -> None:
    tree = TEXT.split("```")[1]
    shown = set(re.findall(r"([A-Z][A-Za-z]+)\(", tree))
    assert shown == set(Registry(house().actors).kinds)


def test_the_table_has_every_kind_with_its_topic() -> None:
    rows = dict(re.findall(r"^\| ([A-Z][A-Za-z]+) \|.*\|\s*(?:`(\w+)`)?\s*\|$", TEXT, re.MULTILINE))
    assert rows == {kind.name: kind.actor.topic for kind in Registry(house().actors).kinds.values()}


def test_all_rules_are_listed_and_those_with_a_test_have_it() -> None:
    rows = re.findall(r"^\| R(\d+) \|.*\| (.*) \|$", TEXT, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 29))
    for number, held in rows:
        for pattern in re.findall(r"`tests/rules/([\w*]+)`", held):
            assert list((ROOT / "tests" / "rules").glob(pattern)), f"R{number}: no {pattern}"
