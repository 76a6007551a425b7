"""What each role may do is one table, in code and in docs/security.md."""

from __future__ import annotations

from pathlib import Path

from foundry.api.roles import ADMIN_MAY, MAY, Deed
from foundry.contracts.github_access import Role

SECURITY = Path(__file__).parents[2] / "docs" / "security.md"
ROLES = (Role.OWNER, Role.MEMBER, Role.COLLABORATOR)


def test_the_document_has_the_table():
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in SECURITY.read_text().splitlines()]
    told = {row[0]: [bool(cell) for cell in row[1:]] for row in rows if row and row[0] in set(Deed)}
    assert told == {deed: [*(role in MAY[deed] for role in ROLES), deed in ADMIN_MAY] for deed in Deed}
