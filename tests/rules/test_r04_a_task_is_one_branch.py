"""R4: a task is one branch; once assigned it stays 1:1. N agents on one prompt are N tasks with N branches."""

from __future__ import annotations

import asyncio

import pytest

from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.task import Named
from tests.world.world import World


async def test_n_tasks_of_one_prompt_get_n_branches(tree: World) -> None:
    tasks = await asyncio.gather(*(tree.create("Add a median") for _ in range(4)))
    branches = [(await tree.until(t, lambda v: v.branch)).branch for t in tasks]
    assert len(set(branches)) == 4


async def test_an_assigned_branch_is_never_another(tree: World) -> None:
    task = await tree.create()
    before = await tree.until(task, lambda v: v.branch)
    with pytest.raises(WrongState, match="for good"):
        await tree.ask(addresses.task(task), Named(branch="another", title="x", base="main"))
    assert (await tree.task(task)).branch == before.branch


async def test_a_branch_that_exists_on_github_is_avoided(tree: World) -> None:
    tree.outside.branches = ["main", "foundry/do-it"]
    task = await tree.create("Do it")
    assert (await tree.until(task, lambda v: v.branch)).branch == "foundry/do-it-2"


async def test_a_branch_a_person_chose_is_refused_when_taken(tree: World) -> None:
    tree.outside.branches = ["main", "mine"]
    task = await tree.create(branch="mine")
    failed = await tree.until(task, lambda v: v.state == "failed")
    assert failed.failure
    assert failed.failure.code == "branch_taken"
    assert failed.failure.remedy
