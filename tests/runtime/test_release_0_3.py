"""What a replica of release 0.3 writes is read here, while both run beside each other."""

from __future__ import annotations

from foundry.contracts.issues import IssueKind
from foundry.contracts.sandbox_instance import SandboxState
from foundry.contracts.task import SandboxReleased


def test_a_field_is_read_under_its_coming_name_and_written_under_its_own() -> None:
    assert SandboxReleased.model_validate_json('{"retained": "Unsaved."}').kept == "Unsaved."
    assert SandboxReleased(kept="Unsaved.").model_dump_json() == '{"kept":"Unsaved.","waits":false}'


def test_a_state_is_read_under_its_coming_name() -> None:
    assert SandboxState("retained") is SandboxState.KEPT
    assert IssueKind("overdue") is IssueKind.LATE
