"""The session's row, typed: a turn changes fields, and only what changed is written. Its table is made from it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from foundry.runtime.columns import AnyRow
from foundry.runtime.store.tables import LongText


@dataclass
class State:
    """One row of `sessions`. Contract models are stored as JSON; times are Unix milliseconds."""

    session: str
    task: str
    repository_id: str
    sandbox: str
    agent: str
    title: str
    status: str
    status_since: int
    created_at: int
    failure: LongText | None = None  # SessionFailure
    overdue: LongText | None = None  # Overdue
    # the connection
    server: str | None = None  # the ACP server id chosen; never used twice
    connected: bool = False  # the agent's session is open under it
    cursor: int = 0  # the last event id read
    agent_session: LongText | None = None  # AgentSession: the open one, or the one to load or resume
    resumed: bool = False  # automatically, since a prompt last ended well: it happens once
    unreachable: bool = False  # no answer now; the worker keeps trying
    unread: str | None = None  # a server that was given up: the end of its stream may not have been read
    sandbox_stopped: bool = False  # the sandbox is stopped, because nobody used it
    replay_ends: str = ""  # JSON-RPC id; until its response, updates repeat the past
    needs_context: bool = False  # the agent knows nothing of the conversation
    prompted: bool = False  # a prompt has been given to an agent
    # the prompt
    running: str | None = None  # the message that has the work tree
    lost: str | None = None  # the message whose outcome is unknown and which the stream may still show
    stopping: bool = False
    heard_at: int = 0  # when the agent last said anything

    @classmethod
    def of(cls, row: AnyRow) -> State:
        return cls(**{name: getattr(row, name) for name in _NAMES})

    def values(self) -> dict[str, object]:
        """Every column except the owner's."""
        return {name: getattr(self, name) for name in _NAMES if name != "session"}


_NAMES = tuple(field.name for field in fields(State))
