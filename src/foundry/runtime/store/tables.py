"""The runtime's own tables. Times are Unix milliseconds. Actors never touch these; the store's driver SQL does."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, get_args, get_type_hints

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

metadata = MetaData()
"""Every table of Foundry, the runtime's and the actors'."""

_Id = BigInteger().with_variant(Integer(), "sqlite")  # SQLite autoincrements INTEGER PRIMARY KEY only


def owned_table(kind: str, name: str, *parts: Any) -> Table:
    """A table that only actors of `kind` write. Its first column holds the owning actor's key."""
    return Table(name, metadata, *parts, info={"owner": kind})


LongText = Annotated[str, "of any length"]
"""The type of a dataclass field that is stored as text of any length."""

_TYPES: dict[object, Callable[[], Any]] = {str: String, int: BigInteger, bool: Boolean, LongText: Text}


def columns_of(row: type, *, index: Collection[str] = (), stored: Mapping[str, str] | None = None) -> list[Column[Any]]:
    """Columns for a dataclass that is a row: its first field is the key; `| None` may be absent.

    Args:
        index: the fields that are indexed.
        stored: the columns of fields that are stored under another name.
    """
    found: list[Column[Any]] = []
    for name, hint in get_type_hints(row, include_extras=True).items():
        options = [one for one in get_args(hint) if one is not type(None)] if type(None) in get_args(hint) else [hint]
        (kind,) = options
        absent = kind is not hint
        column: Column[Any] = Column(
            (stored or {}).get(name, name),
            _TYPES[kind](),
            key=name,
            primary_key=not found,
            nullable=absent,
            index=name in index or None,
        )
        found.append(column)
    return found


actors = Table(
    "actors",
    metadata,
    Column("actor", String, primary_key=True),  # "Task:tsk_..."
    Column("kind", String, nullable=False, index=True),
    Column("parent", String, index=True),
    Column("scope", String, nullable=False),
    Column("seq", BigInteger, nullable=False, server_default="0"),  # messages sent
    Column("version", BigInteger, nullable=False, server_default="0"),  # events published
    Column("dropped", BigInteger, nullable=False, server_default="0"),  # messages that came after its end
    Column("shown", String),  # mark of the view last published
    Column("told", String),  # mark of what others were last told
    Column("created_at", BigInteger, nullable=False),
    Column("deleted_at", BigInteger),
)

mailbox = Table(
    "mailbox",
    metadata,
    Column("id", _Id, primary_key=True, autoincrement=True),
    Column("receiver", String, nullable=False),
    Column("sender", String, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("word", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("next_try_at", BigInteger, nullable=False, server_default="0"),
    Column("set_aside_at", BigInteger),
    Column("error", Text),
    UniqueConstraint("sender", "seq", name="mailbox_sender_seq"),
    Index("mailbox_receiver", "receiver", "id"),
    Index(  # the few that wait for their next try; without it every look would be quadratic in a long mailbox
        "mailbox_waiting",
        "receiver",
        "sender",
        sqlite_where=text("next_try_at > 0"),
        postgresql_where=text("next_try_at > 0"),
    ),
    sqlite_autoincrement=True,
)

asks = Table(
    "asks",
    metadata,
    Column("key", String, primary_key=True),  # caller, actor, command and the client's key
    Column("hash", String, nullable=False),
    Column("answer", Text),
    Column("refusal", Text),
    Column("workflow", String, index=True),  # kept until it ends; otherwise 24 hours
    Column("created_at", BigInteger, nullable=False, index=True),
)

events = Table(
    "events",
    metadata,
    Column("actor", String, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("word", String, nullable=False),
    Column("entity", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("repository", String),
    Column("person", String),
    Column("at", BigInteger, nullable=False),
    Index("events_at", "at"),
    Index("events_entity", "actor", "entity"),
)

workflows = Table(
    "workflows",
    metadata,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("owner", String, nullable=False, index=True),
    Column("scope", String, nullable=False),
    Column("generation", BigInteger, nullable=False, server_default="0"),
    Column("crashes", Integer, nullable=False, server_default="0"),
    Column("executor", String),  # the replica that was last given it
    Column("job", Text, nullable=False),
    Column("cancelled", Integer, nullable=False, server_default="0"),
    Column("release", String),  # that began it, where its steps are another release's
    Column("started_at", BigInteger, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String, primary_key=True),
    Column("holder", String, nullable=False),
    Column("fencing", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

schedules = Table(
    "schedules",
    metadata,
    Column("actor", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    Column("generation", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False, server_default="0"),  # of its turn, that failed in a row
    Column("error", Text),
    Index("schedules_due", "due_at"),
)

server_secrets = Table(
    "server_secrets",
    metadata,
    Column("name", String, primary_key=True),
    Column("sealed", Text, nullable=False),  # encrypted
)

blobs = Table(
    "blobs",
    metadata,
    Column("key", String, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
    Column("at", BigInteger, nullable=False),
)
