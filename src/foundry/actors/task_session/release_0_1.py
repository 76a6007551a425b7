"""Release 0.1's columns of `sessions`, while a replica of it may run beside this one. Goes with release 0.3."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import BigInteger, Column, MetaData, String, Table, Text

from foundry.actors.task_session.tables import session_agents, session_open_entries
from foundry.contracts.ids import WorkflowId
from foundry.contracts.repository import RepositoryRef
from foundry.runtime.turn import AnyRow, Turn

old = Table(
    "sessions",
    MetaData(),
    Column("session", String, primary_key=True),
    Column("mirror", String),  # digest of the rest, as this release last wrote it
    Column("repository", Text),
    Column("opening", String),
    Column("open_entry", String),
    Column("open_kind", String),
    Column("open_key", String),
    Column("open_position", BigInteger),
    Column("open_length", BigInteger),
    Column("open_at", BigInteger),
    Column("mode", String),
    Column("commands", Text),
    Column("usage", Text),
    info={"owner": "TaskSession"},
)
NAMES = [column.name for column in old.columns if column.name not in ("session", "mirror", "repository")]


def adopt(turn: Turn) -> None:
    """Take over what a replica of 0.1 has written, if it has."""
    row = turn.find(old)
    if row is None or not row.repository or row.mirror == _digest({name: getattr(row, name) for name in NAMES}):
        return
    for table, rows in new_rows(row).items():
        turn.delete(table)
        turn.insert_many(table, rows)


def mirror(turn: Turn, opening: WorkflowId | None) -> None:
    """Write what 0.1 reads."""
    text, agent = turn.find(session_open_entries), turn.find(session_agents)
    values: dict[str, Any] = {
        "opening": opening,
        "open_entry": text.entry if text else None,
        "open_kind": text.kind if text else "",
        "open_key": text.key if text else "",
        "open_position": text.position if text else 0,
        "open_length": text.length if text else 0,
        "open_at": text.at if text else 0,
        "mode": agent.mode if agent else "",
        "commands": agent.commands if agent else "[]",
        "usage": agent.usage if agent else "{}",
    }
    row, mark = turn.find(old), _digest(values)
    if row is not None and row.mirror != mark:
        turn.update(old, **values, mirror=mark)


def created(turn: Turn, repository: RepositoryRef) -> None:
    turn.update(old, repository=repository.model_dump_json())


def new_rows(row: AnyRow) -> dict[Table, list[dict[str, Any]]]:
    """The rows of the new tables, from 0.1's columns."""
    text = {name: getattr(row, f"open_{name}") for name in ("entry", "kind", "key", "position", "length", "at")}
    agent = {"mode": row.mode, "commands": row.commands or "[]", "usage": row.usage or "{}"}
    return {session_open_entries: [text] if row.open_entry else [], session_agents: [agent]}


def _digest(values: dict[str, Any]) -> str:
    text = json.dumps([values[name] for name in NAMES])
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
