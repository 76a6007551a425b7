"""R17: a workflow is a chain of small durable steps; what it uses is declared, what it makes has its release."""

from __future__ import annotations

import ast
import inspect

import pytest

from foundry.app import house
from foundry.runtime.workflow.flow import Workflow

WORKFLOWS = list(house().workflows.by_name.values())


def used_steps(workflow: Workflow) -> set[str]:
    """Every step name that the workflow's module gives to a flow, or to a function with its flow, as a literal."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(inspect.getsource(inspect.getmodule(workflow.run)))):  # type: ignore[arg-type]
        if not isinstance(node, ast.Call):
            continue
        args = node.args
        if (
            isinstance(node.func, ast.Attribute)
            and _is_flow(node.func.value)
            and node.func.attr in ("do", "ask", "read")
        ):
            found |= _literal(args[:1])
        elif args and _is_flow(args[0]):
            found |= _literal(args[1:2])
    return found


def _is_flow(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "flow"


def _literal(nodes: list[ast.expr]) -> set[str]:
    return {str(node.value) for node in nodes if isinstance(node, ast.Constant)}


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda w: w.name)
def test_every_step_used_is_declared(workflow: Workflow) -> None:
    beside = [other for other in WORKFLOWS if inspect.getmodule(other.run) is inspect.getmodule(workflow.run)]
    declared = {step for one in beside for step in one.steps}  # they share the module's functions
    assert used_steps(workflow) <= declared


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda w: w.name)
def test_a_workflow_is_described_by_its_steps(workflow: Workflow) -> None:
    module = inspect.getmodule(workflow.run)
    assert module
    assert module.__doc__
    assert set(workflow.releases) <= set(workflow.steps)
