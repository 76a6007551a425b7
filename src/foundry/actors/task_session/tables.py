"""What a TaskSession keeps beside its transcript, which is its topic's events. Contract models are stored as JSON."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, String, Text

from foundry.actors.task_session.row import State
from foundry.runtime.store.tables import columns_of, owned_table

STORED = {"failure": "trouble", "sandbox_stopped": "resting"}  # fields whose columns keep an older name

sessions = owned_table("TaskSession", "sessions", *columns_of(State, index=["task"], stored=STORED))

session_agents = owned_table(
    "TaskSession",
    "session_agents",  # the agent's mode, commands and usage
    Column("session", String, primary_key=True),
    Column("mode", String, nullable=False),
    Column("commands", Text, nullable=False),  # list of names
    Column("usage", Text, nullable=False),  # as it came
)

session_open_entries = owned_table(
    "TaskSession",
    "session_open_entries",  # the streamed entry that is not complete
    Column("session", String, primary_key=True),
    Column("entry", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("key", String, nullable=False),  # the agent's message id, if it gives one
    Column("position", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),  # code points published
    Column("at", BigInteger, nullable=False),
)

session_messages = owned_table(
    "TaskSession",
    "session_messages",
    Column("session", String, primary_key=True),
    Column("message", String, primary_key=True),
    Column("number", Integer, nullable=False),  # order of arrival
    Column("text", Text, nullable=False),
    Column("person", Text, nullable=False),  # Person
    Column("state", String, nullable=False),
    Column("outcome", Text, nullable=False, server_default=""),
    Column("at", BigInteger, nullable=False),
    Column("rpc", String),  # the JSON-RPC id of its latest sending
    Column("entry", String),  # its entry in the transcript
    Column("workflow", String),  # the workflow that sends it
    Column("doubtful", Boolean, nullable=False, server_default="0"),  # an attempt was cut off
)

session_permissions = owned_table(
    "TaskSession",
    "session_permissions",
    Column("session", String, primary_key=True),
    Column("permission", String, primary_key=True),
    Column("rpc", String, nullable=False),  # the agent's JSON-RPC id, as JSON: a number stays one
    Column("title", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("options", Text, nullable=False),  # list of PermissionOption
    Column("state", String, nullable=False),
    Column("answer", String),
    Column("person", Text),  # Person
    Column("workflow", String),
    Column("at", BigInteger, nullable=False),
)

session_cards = owned_table(
    "TaskSession",
    "session_cards",  # entries that change as a whole: tool calls, plans, permission requests
    Column("session", String, primary_key=True),
    Column("card", String, primary_key=True),  # e.g. `tool:call_1`
    Column("entry", String, nullable=False),
    Column("open", Boolean, nullable=False),  # not finished
)

session_people = owned_table(
    "TaskSession",
    "session_people",
    Column("session", String, primary_key=True),
    Column("person", String, primary_key=True),
    Column("draft", Text, nullable=False, server_default=""),
    Column("read_position", BigInteger, nullable=False, server_default="0"),
)
