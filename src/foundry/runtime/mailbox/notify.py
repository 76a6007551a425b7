"""Notify: what was committed here, told to the other replicas through PostgreSQL's NOTIFY.

Guarantee: none is needed. A notice is only a hint to look at the rows, sent after the commit on a connection of its
own; what a notice would have said is found by the sweep. So a lost one, a cut connection or a full queue delays and
never loses. Who has connected anew looks at everything, who could not tell something says "look at everything" as
soon as it can, and so does a notice that would be too long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from pydantic import ValidationError
from sqlalchemy.engine import make_url

from foundry.contracts.messages import Model
from foundry.runtime.async_tools import ended
from foundry.runtime.host import Host

CHANNEL = "foundry"
PAYLOAD_LIMIT = 7_999  # bytes; PostgreSQL takes payloads of fewer than 8,000
NAMES = 400  # actors and topics in one notice; more would not fit into PAYLOAD_LIMIT
BACKOFF = (0.1, 0.5, 1.0, 2.0, 5.0)  # seconds before the next try to connect
STEADY = 10.0  # seconds after which a connection that breaks is the first failure again
REACH = {  # a dead peer is noticed within 25 s
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
}

log = structlog.get_logger("foundry.notify")

Connection = psycopg.Connection[tuple[Any, ...]]


class Notice(Model):
    """What one replica tells the others."""

    sender: str  # its executor id
    mail: list[str] = []  # who was sent a message
    topics: list[str] = []  # who published
    workflows: bool = False  # some were started or cancelled
    everything: bool = False  # too much to name


@dataclass
class News:
    """What the next notice will say."""

    mail: set[str] = field(default_factory=set[str])
    topics: set[str] = field(default_factory=set[str])
    workflows: bool = False
    everything: bool = False

    def add(self, mail: Iterable[str], topics: Iterable[str], *, workflows: bool) -> None:
        if self.everything:
            return
        self.mail.update(mail)
        self.topics.update(topics)
        self.workflows |= workflows
        if len(self.mail) + len(self.topics) > NAMES:
            self.mail, self.topics, self.everything = set(), set(), True

    def __bool__(self) -> bool:
        return bool(self.mail or self.topics or self.workflows or self.everything)

    def notice(self, sender: str) -> str:
        """As a payload that PostgreSQL takes."""
        if not self.everything:
            notice = Notice(sender=sender, mail=sorted(self.mail), topics=sorted(self.topics), workflows=self.workflows)
            named = notice.model_dump_json(exclude_defaults=True)
            if len(named.encode()) <= PAYLOAD_LIMIT:
                return named
        return Notice(sender=sender, everything=True).model_dump_json(exclude_defaults=True)


class Notifier:
    """Tells and hears. Used on the loop only; what blocks runs on threads of its own.

    Args:
        coalesce: seconds; what is committed within them leaves as one notice.
    """

    def __init__(self, host: Host, url: str, coalesce: float) -> None:
        self._host = host
        plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._where = make_conninfo(plain, **REACH)
        self._coalesce = coalesce
        self._news = News()
        self._something = asyncio.Event()
        self._teller = ThreadPoolExecutor(1, thread_name_prefix="foundry-notify")
        self._dialer = ThreadPoolExecutor(1, thread_name_prefix="foundry-listen")
        self._telling: Connection | None = None  # the teller's alone
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._keep(self._tell), name="notifier"),
            asyncio.create_task(self._keep(self._listen), name="listener"),
        ]

    async def stop(self) -> None:
        """Let go of both connections. What was not told yet is found by the others' sweeps."""
        await ended(self._tasks)
        self._teller.submit(self._hang_up)
        self._teller.shutdown(wait=False)
        self._dialer.shutdown(wait=False)

    def stuck(self) -> str | None:
        """Which part has ended though it should not have."""
        return next((f"{task.get_name()} has ended" for task in self._tasks if task.done()), None)

    def add(self, mail: Iterable[str], topics: Iterable[str], *, workflows: bool) -> None:
        """Say this in the next notice."""
        self._news.add(mail, topics, workflows=workflows)
        if self._news:
            self._something.set()

    # one part each, started again when its connection breaks

    async def _keep(self, part: Callable[[], Any]) -> None:
        failures = 0
        while True:
            began = time.monotonic()
            try:
                await part()
            except asyncio.CancelledError:
                raise
            except psycopg.Error as error:
                log.warning("connection lost; the sweep does its work", part=part.__name__, error=str(error))
            except Exception:
                log.exception("a part of the notifier failed", part=part.__name__)
            failures = 0 if time.monotonic() - began > STEADY else failures + 1
            await asyncio.sleep(BACKOFF[min(failures, len(BACKOFF)) - 1] if failures else 0)

    async def _tell(self) -> None:
        """1. Wait for something. 2. Wait for what comes right after it. 3. Tell."""
        while True:
            await self._something.wait()
            await asyncio.sleep(self._coalesce)
            self._something.clear()
            news, self._news = self._news, News()
            payload = news.notice(self._host.executor)
            try:
                await asyncio.wrap_future(self._teller.submit(self._send, payload))
            except psycopg.Error:
                self._news.everything = True
                self._something.set()
                raise

    async def _listen(self) -> None:
        """1. Listen. 2. Look at everything: nobody told us of what came before. 3. Hear."""
        future = self._dialer.submit(self._connect, "foundry listener", f"LISTEN {CHANNEL}")
        try:
            connection = await asyncio.shield(asyncio.wrap_future(future))
        except asyncio.CancelledError:
            future.add_done_callback(_closed)
            raise
        loop, arrived = asyncio.get_running_loop(), asyncio.Event()
        number = connection.fileno()
        loop.add_reader(number, arrived.set)
        try:
            self._host.heard(Notice(sender="", everything=True))
            while True:
                connection.pgconn.consume_input()
                while told := connection.pgconn.notifies():
                    self._hear(told.extra)
                await arrived.wait()
                arrived.clear()
        finally:
            loop.remove_reader(number)
            connection.close()

    def _hear(self, payload: bytes) -> None:
        try:
            notice = Notice.model_validate_json(payload, extra="forbid")
        except ValidationError:  # of a replica of another version
            notice = Notice(sender="", everything=True)
        if notice.sender != self._host.executor:
            self._host.heard(notice)

    # on a thread

    def _connect(self, name: str, first: str = "") -> Connection:
        connection = psycopg.connect(self._where, autocommit=True, application_name=name)
        if first:
            connection.execute(first.encode())
        return connection

    def _send(self, payload: str) -> None:
        try:
            self._telling = self._telling or self._connect("foundry notifier")
            self._telling.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))
        except BaseException:
            self._hang_up()
            raise

    def _hang_up(self) -> None:
        if self._telling:
            self._telling.close()
            self._telling = None


def _closed(future: Future[Connection]) -> None:
    """Nobody waits for this connection any more."""
    if not future.cancelled() and future.exception() is None:
        future.result().close()
