"""The session's row, typed, so that a turn changes fields and only what changed is written."""

from __future__ import annotations

from dataclasses import dataclass, fields

from foundry.runtime.turn import AnyRow


@dataclass
class State:
    """The columns of `sessions`; what each means stands there."""

    session: str
    task: str
    repository: str
    repository_id: str
    sandbox: str
    agent: str
    title: str
    status: str
    status_since: int
    trouble: str | None
    told: str
    created_at: int
    server: str | None = None
    connected: bool = False
    cursor: int = 0
    agent_session: str | None = None
    opening: str | None = None
    resumed: bool = False
    unreachable: bool = False
    unread: str | None = None
    resting: bool = False
    replay_ends: str = ""
    needs_context: bool = False
    prompted: bool = False
    running: str | None = None
    lost: str | None = None
    stopping: bool = False
    heard_at: int = 0
    began: str = "{}"
    overdue: str | None = None
    open_entry: str | None = None
    open_kind: str = ""
    open_key: str = ""
    open_position: int = 0
    open_length: int = 0
    open_at: int = 0
    mode: str = ""
    commands: str = "[]"
    usage: str = "{}"

    @classmethod
    def of(cls, row: AnyRow) -> State:
        return cls(**{name: getattr(row, name) for name in _NAMES})

    def values(self) -> dict[str, object]:
        """Every column but the owner's."""
        return {name: getattr(self, name) for name in _NAMES if name != "session"}


_NAMES = tuple(field.name for field in fields(State))
