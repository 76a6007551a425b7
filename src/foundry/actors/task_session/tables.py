"""What a TaskSession keeps beside its transcript, which is its topic's events. Contract models are stored as JSON."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Integer, String, Text

from foundry.runtime.store.tables import owned_table

sessions = owned_table(
    "TaskSession",
    "sessions",
    Column("session", String, primary_key=True),
    Column("task", String, nullable=False, index=True),
    Column("repository", Text, nullable=False),  # RepositoryRef
    Column("repository_id", String, nullable=False),
    Column("sandbox", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("title", String, nullable=False),
    Column("status", String, nullable=False),
    Column("status_since", BigInteger, nullable=False),
    Column("trouble", Text),  # SessionTrouble
    Column("told", Text, nullable=False),  # SessionSummary, as the task last heard it
    Column("created_at", BigInteger, nullable=False),
    # the connection
    Column("server", String),  # the ACP server id chosen; never used twice
    Column("connected", Boolean, nullable=False),  # the agent's session is open under it
    Column("cursor", BigInteger, nullable=False),  # the last event id ingested of it
    Column("agent_session", Text),  # AgentSession: the open one, or the one to load or resume
    Column("opening", String),  # the workflow that opens or resumes
    Column("resumed", Boolean, nullable=False),  # by itself, since a prompt last ended well: it happens once
    Column("unreachable", Boolean, nullable=False),  # nobody answers now; the worker goes on trying
    Column("unread", String),  # a server that was given up: the end of its stream may not have been read
    Column("resting", Boolean, nullable=False, server_default="0"),  # the sandbox is stopped, as nobody used it
    Column("replay_ends", String, nullable=False),  # JSON-RPC id; until its response, updates repeat the past
    Column("needs_context", Boolean, nullable=False),  # the agent knows nothing of the conversation
    Column("prompted", Boolean, nullable=False),  # a prompt has been given to an agent
    # the prompt
    Column("running", String),  # the message that has the work tree
    Column("lost", String),  # the message whose outcome is unknown and which the stream may still show
    Column("stopping", Boolean, nullable=False),
    Column("heard_at", BigInteger, nullable=False, server_default="0"),  # when the agent last said anything
    Column("began", Text, nullable=False, server_default="{}"),  # since when each thing stands that should pass
    Column("overdue", Text),  # Overdue
    # the streamed entry that is open
    Column("open_entry", String),
    Column("open_kind", String, nullable=False),
    Column("open_key", String, nullable=False),  # the agent's message id, where it gives one
    Column("open_position", BigInteger, nullable=False),
    Column("open_length", BigInteger, nullable=False),  # code points published
    Column("open_at", BigInteger, nullable=False),
    # what the agent says of itself
    Column("mode", String, nullable=False),
    Column("commands", Text, nullable=False),  # list of names
    Column("usage", Text, nullable=False),  # as it came
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
    Column("workflow", String),  # that sends it
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
