"""The version after this one: the same sources with what an upgrade brings, a step, a field and a column more."""

from __future__ import annotations

import shutil
from pathlib import Path

import foundry
from foundry.runtime.store.migrate import head

STEP = "looking around"
PROVISION = "actors/task/workflows/provision.py"
PEOPLE = "contracts/repository.py"
EDITS = (
    (PROVISION, '    "cloning",\n', f'    "{STEP}",\n    "cloning",\n'),
    (
        PROVISION,
        '    await flow.ask("cloning", me, BeginPhase(phase=Phase.CLONING))\n',
        f'    if await flow.patched("{STEP}"):\n'
        f'        await flow.do("{STEP}", flow.doors.github.branch_names, task.repository)\n'
        '    await flow.ask("cloning", me, BeginPhase(phase=Phase.CLONING))\n',
    ),
    # in nearly every row, message and event
    (PEOPLE, '    html_url: str = ""\n', '    html_url: str = ""\n    next_thing: str = "new"\n'),
)
REVISION = "next"
MIGRATION = f'''
import sqlalchemy as sa
from alembic import op

revision = "{REVISION}"
down_revision = "{head()}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table("next_things", sa.Column("task", sa.String(), primary_key=True))
    with op.batch_alter_table("tasks", schema=None) as batch_op:
        batch_op.add_column(sa.Column("next_thing", sa.Text(), server_default="", nullable=False))
'''


def make(place: Path) -> Path:
    """Where it is, to be put on the path."""
    here = Path(foundry.__file__).parent
    shutil.copytree(here, place / "foundry", ignore=shutil.ignore_patterns("__pycache__", "static"))
    (place / "foundry/web/static").symlink_to(here / "web/static")
    for name, old, new in EDITS:
        file = place / "foundry" / name
        text = file.read_text()
        assert text.count(old) == 1, f"{name} has changed: mend the next version's {old!r}"
        file.write_text(text.replace(old, new))
    (place / "foundry/runtime/store/migrations/versions/9999_next.py").write_text(MIGRATION)
    return place
