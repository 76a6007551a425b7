"""What a store offers the runtime: transactions on threads of its own, and reads beside them.

A `Work` is a piece for one actor that runs inside somebody's transaction. The store decides which works share one
(SQLite: all that wait, for any actors; PostgreSQL: those that wait for the same actor), commits once, and only then
tells each work how it ended. `Transaction` is the driver SQL of the runtime's own rows: one opening and one closing
statement a turn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from sqlalchemy import Connection

from foundry.contracts.messages import Address

T = TypeVar("T")

BATCH = 64  # works that share one commit, at most


class StoredAsk(NamedTuple):
    """What an idempotency key remembers: the request's hash and the answer or the refusal, as JSON."""

    hash: str
    answer: str | None
    refusal: str | None


class Opened(NamedTuple):
    """The actor's row as this transaction holds it, locked."""

    exists: bool
    deleted: bool
    scope: str
    seq: int
    version: int
    ask: StoredAsk | None
    shown: str | None = None  # mark of the view last published, see Turn.show
    told: str | None = None  # mark of what others were last told, see Turn.tell


class Mail(NamedTuple):
    """One row of the mailbox."""

    id: int
    sender: str
    seq: int
    word: str
    body: str
    tries: int
    sent_at: int


class NewAsk(NamedTuple):
    key: str
    hash: str
    answer: str | None
    refusal: str | None
    workflow: str | None


class NewBirth(NamedTuple):
    kind: str
    parent: str | None
    scope: str


class NewMail(NamedTuple):
    receiver: str
    seq: int
    word: str
    body: str


class NewEvent(NamedTuple):
    version: int
    word: str
    entity: str
    body: str
    repository: str | None
    person: str | None


class NewStart(NamedTuple):
    id: str
    name: str
    scope: str
    job: str
    release: str


@dataclass(slots=True)
class Effects:
    """What a turn wants written beside its own tables, in the same transaction."""

    birth: NewBirth | None = None
    deleted: bool = False
    mail: list[NewMail] = field(default_factory=list[NewMail])
    events: list[NewEvent] = field(default_factory=list[NewEvent])
    compacted: list[str] = field(default_factory=list[str])  # entities whose earlier events are replaced
    starts: list[NewStart] = field(default_factory=list[NewStart])
    cancels: list[str] = field(default_factory=list[str])  # workflow ids
    schedules: dict[str, int | None] = field(default_factory=dict[str, "int | None"])  # name -> due, None: cancel
    ask: NewAsk | None = None
    shown: str | None = None  # a new mark of the view; None: as before
    told: str | None = None  # a new mark of what others were told; None: as before


class Fenced(Exception):
    """The write was made under a lease that another process has taken since. Nothing was applied."""


class Busy(Exception):
    """The database was away or a lock could not be had in time. Nothing was applied; trying again is right."""


class Transaction(Protocol):
    """One open transaction on one thread."""

    now: int  # Unix milliseconds; the database's clock where replicas share one

    @property
    def connection(self) -> Connection: ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo what happens inside if it raises; the exception goes on."""
        ...

    def open(self, actor: str, ask: str | None = None) -> Opened:
        """Lock the actor's row, give it and what its idempotency key remembers."""
        ...

    def close(self, actor: str, opened: Opened, effects: Effects) -> None: ...

    def mail(self, actor: str, limit: int) -> Sequence[Mail]:
        """What is due for this actor, oldest first: nobody whose earlier message still waits is among the senders."""
        ...

    def claim(self, actor: str, mail: Mail) -> bool:
        """Remove the message; False if it is gone or an earlier one of its sender still waits."""
        ...

    def mail_failed(self, mail: Mail, error: str, next_try_at: int, *, set_aside: bool) -> None: ...

    def dropped(self, actor: str) -> None:
        """Count a message that came after the actor's end."""
        ...

    def fence(self, lease: str, fencing: int) -> None:
        """Raise `Fenced` unless the lease still carries this number."""
        ...

    def infrastructure(self, error: BaseException) -> bool:
        """Return True if the database failed (unavailable, full, locked), not the turn."""
        ...

    def conflict(self, error: BaseException) -> bool:
        """Return True if a row with this key exists already, because another turn was first."""
        ...

    def execute(self, sql: str, *values: object) -> Sequence[Sequence[object]]:
        """A seldom used statement of the runtime's own; `?` stands for each value. Gives rows, if it has any."""
        ...


class Work(ABC):
    """Something to do for one actor inside a transaction, and what to do on the loop once it is committed."""

    address: Address
    single: bool = True  # uses one savepoint only, so alone in a transaction it needs none
    slowest: float | None = None  # seconds; its longest turn, where it runs several

    @abstractmethod
    def run(self, tx: Transaction) -> None:
        """On a store thread. Keeps its outcome to itself until `settle`; raising fails the whole batch."""

    @abstractmethod
    def settle(self) -> None:
        """On the loop, after the commit."""

    @abstractmethod
    def fail(self, error: BaseException) -> None:
        """On the loop: the transaction did not commit; nothing was applied."""

    def label(self) -> str:
        return str(self.address)


class Store(Protocol):
    """Threads that run works, and threads that read."""

    dialect: str

    def start(self, settled: Callable[[Sequence[Work], BaseException | None], None]) -> None:
        """Begin to work. `settled` is called from a store thread after each commit, or with why there was none."""
        ...

    def submit(self, work: Work) -> None:
        """Thread-safe; returns at once."""
        ...

    def read(self, function: Callable[[Connection], T]) -> T:
        """Run on the calling thread with a read-only connection, all of it in one snapshot.

        Raises:
            Busy: the database was away.
        """
        ...

    def now(self, connection: Connection) -> int:
        """Unix milliseconds, on the clock that due times are written by."""
        ...

    def stuck(self) -> str | None:
        """What a store thread has been doing for over five seconds, with its stack; None if all is well."""
        ...

    def close(self) -> None:
        """Finish what is under way, refuse the rest, join the threads."""
        ...
