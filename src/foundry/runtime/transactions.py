"""What store threads run: an ask, the due messages of one actor, a system change; schedule.py adds
a schedule that fell due.

Each keeps its outcome until the commit and only then tells (`settle`): answers, memory and fan-out never run ahead
of the database.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog

from foundry.contracts.errors import FoundryError, KeyReused, NotFound, error_codes
from foundry.contracts.issues import Failure, FailureRaised, IssueKind
from foundry.contracts.messages import APP, Address, Birth, Command, Message, Model, ScopeId
from foundry.contracts.stored_names import current_message
from foundry.runtime.actor import ActorKind, Handler
from foundry.runtime.host import Host
from foundry.runtime.store.base import (
    Effects,
    Mail,
    NewAsk,
    NewEvent,
    Opened,
    StoredAsk,
    Transaction,
    Work,
)
from foundry.runtime.turn import Turn

MAIL_BATCH = 32  # messages of one actor applied by one work
TRIES = 5  # of a message, then it is set aside
BACKOFF = (0.2, 1.0, 5.0, 30.0)  # seconds before tries 2 to 5
NEWER = 600.0  # seconds that a message, an alarm or a workflow that only a newer release knows is left to its replicas


log = structlog.get_logger("foundry.runtime")


class _MayBeNewer(Exception):
    """This release does not know the message's type, but another running replica may."""


@dataclass(slots=True)
class After:
    """What a committed turn means for the rest of this process."""

    address: Address
    events: list[NewEvent] = field(default_factory=list[NewEvent])
    receivers: set[str] = field(default_factory=set[str])
    starts: bool = False
    cancels: bool = False
    schedules: bool = False


def followed_by(address: Address, effects: Effects) -> After:
    receivers = {mail.receiver for mail in effects.mail}
    return After(
        address,
        effects.events,
        receivers,
        bool(effects.starts),
        bool(effects.cancels),
        bool(effects.schedules),
    )


def apply(host: Host, tx: Transaction, kind: ActorKind, address: Address, handler: Handler, word: Model,
          *, ask: tuple[str, str, str | None] | None = None,
          opened: Opened | None = None) -> tuple[object, After, StoredAsk | None]:  # fmt: skip
    """Apply one turn: open, call the handler, close. Return the answer, what follows, and the key's stored answer.

    Args:
        opened: the actor's row, where this transaction has it already and nothing was written to it since.
    """
    opened = opened or tx.open(str(address), ask[0] if ask else None)
    if opened.ask is not None:
        return None, After(address), opened.ask
    if opened.deleted or not (opened.exists or handler.creates):
        raise NotFound(f"no {address.kind} with id {address.key}")
    birth = word if isinstance(word, Birth) else None
    turn, answer = take(host, tx, kind, address, opened, lambda turn: handler.call(turn, word), birth)
    if handler.answers_with_view:
        answer = kind.actor.view(turn)
    effects = turn.effects
    if ask:
        effects.ask = NewAsk(ask[0], ask[1], handler.answer.dump_json(answer).decode(), None, ask[2])
    tx.close(str(address), opened, effects)
    return answer, followed_by(address, effects), None


def take(host: Host, tx: Transaction, kind: ActorKind, address: Address, opened: Opened, call: Callable[[Turn], object],
         birth: Birth | None = None) -> tuple[Turn, object]:  # fmt: skip
    """Call a handler, then the actor's `after_turn`. Return the turn and the handler's answer."""
    turn = Turn(tx, address, opened, host.ids, kind.actor.config, birth)
    answer = call(turn)
    if not turn.effects.deleted:
        kind.actor.after_turn(turn)
    return turn, answer


def attempt(tx: Transaction, turn: Callable[[], object], failed: Callable[[Exception], None]) -> bool:
    """Call `turn` behind a savepoint. If it fails, undo what it wrote and call `failed`, behind one too.

    Returns:
        True if the turn succeeded.

    Raises:
        Exception: the database failed, not the turn. The store then repeats the whole transaction.
    """
    try:
        with tx.savepoint():
            turn()
    except Exception as error:
        if tx.infrastructure(error):
            raise
        with tx.savepoint():
            failed(error)
        return False
    return True


class AskWork(Work):
    """Run a command now and give its answer to whoever waits on `future`."""

    def __init__(self, host: Host, address: Address, command: Command[Any], future: asyncio.Future[Any],
                 key: str | None, caller: str, workflow: str | None,
                 lease: tuple[str, int] | None) -> None:  # fmt: skip
        self.host, self.address, self.command, self.future = host, address, command, future
        self.kind = host.registry.kind(address)
        self.handler = self.kind.handler(type(command))
        self.lease = lease
        self.ask: tuple[str, str, str | None] | None = None
        if key is not None:
            self.ask = (f"{caller}|{address}|{type(command).__name__}|{key}", digest(command), workflow)
        self.answer: object = None
        self.error: BaseException | None = None
        self.after: After | None = None

    def label(self) -> str:
        return f"{type(self.command).__name__} to {self.address}"

    def run(self, tx: Transaction) -> None:
        for last in (False, True):
            try:
                self._turn(tx)
                return
            except Exception as error:
                # Another replica may have been first with this key or with this actor's create: look again.
                if last or not tx.conflict(error):
                    self._failed(tx, error)
                    return

    def _turn(self, tx: Transaction) -> None:
        with tx.savepoint():
            if self.lease:
                tx.fence(*self.lease)
            self.answer, self.after, stored = apply(
                self.host, tx, self.kind, self.address, self.handler, self.command, ask=self.ask
            )
        if stored is not None:
            self._remembered(stored)

    def _failed(self, tx: Transaction, error: Exception) -> None:
        if tx.infrastructure(error):
            raise error
        self.error, self.after = error, None
        if isinstance(error, FoundryError) and self.ask:
            with tx.savepoint():
                opened = tx.open(str(self.address), self.ask[0])
                if opened.ask is None:
                    refusal = NewAsk(self.ask[0], self.ask[1], None, dump_refusal(error), self.ask[2])
                    tx.close(str(self.address), opened, Effects(ask=refusal))

    def _remembered(self, stored: StoredAsk) -> None:
        assert self.ask
        if stored.hash != self.ask[1]:
            self.error = KeyReused("this key was used before with another body", field="Idempotency-Key")
        elif stored.refusal is not None:
            self.error = load_refusal(stored.refusal)
        else:
            self.answer = self.handler.answer.validate_json(stored.answer or "null", extra="ignore")

    def settle(self) -> None:
        if self.after:
            self.host.committed(self.after)
        if self.future.done():
            return  # the caller is gone; what was applied stays applied
        if self.error:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.answer)

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class MailWork(Work):
    """Apply what is due in one actor's mailbox, each message behind its own savepoint."""

    single = False

    def __init__(self, host: Host, address: Address) -> None:
        self.host, self.address = host, address
        self.kind = host.registry.kind(address)
        self.afters: list[After] = []
        self.again: float | None = None  # seconds until the next look; 0: at once

    def label(self) -> str:
        return f"mailbox of {self.address}"

    def run(self, tx: Transaction) -> None:
        waiting: set[str] = set()
        mails = tx.mail(str(self.address), MAIL_BATCH)
        for mail in mails:
            if mail.sender in waiting:
                continue
            began = time.perf_counter()
            if not attempt(tx, partial(self._apply, tx, mail), partial(self._failed, tx, mail)):
                waiting.add(mail.sender)
            self.slowest = max(self.slowest or 0.0, time.perf_counter() - began)
        if len(mails) == MAIL_BATCH:
            self.again = 0

    def _apply(self, tx: Transaction, mail: Mail) -> None:
        opened = tx.open(str(self.address))
        if not tx.claim(str(self.address), mail):
            return
        if opened.deleted:
            tx.dropped(str(self.address))
            return
        handler = self.kind.words.get(current_message(mail.word))
        if handler is None and self._left_to_others(tx, mail):
            raise _MayBeNewer
        if handler is None:
            raise LookupError(f"{self.address.kind} has no handler for {mail.word}")
        word = handler.word.model_validate_json(mail.body)
        _, after, _ = apply(self.host, tx, self.kind, self.address, handler, word, opened=opened)
        self.afters.append(after)

    def _left_to_others(self, tx: Transaction, mail: Mail) -> bool:
        """Return True if a newer replica may know the message's type, for at most `NEWER` seconds after it was sent."""
        if tx.now - mail.sent_at > 1000 * NEWER:
            return False
        others = "SELECT 1 FROM leases WHERE name LIKE 'replica:%' AND name<>? AND expires_at>?"
        return bool(tx.execute(others, f"replica:{self.host.executor}", tx.now))

    def _failed(self, tx: Transaction, mail: Mail, error: Exception) -> None:
        """Retry with back-off; only this sender's later messages wait. After `TRIES` the message is set aside."""
        if isinstance(error, _MayBeNewer):
            return  # the sweep tries it again, here and on the other replicas
        text = f"{type(error).__name__}: {error}"
        last = mail.tries + 1 >= TRIES
        wait = 0.0 if last else BACKOFF[mail.tries]  # seconds
        opened = tx.open(str(self.address))
        again = tx.now + round(1000 * wait)
        tx.mail_failed(mail, text + "\n" + traceback.format_exc(limit=-6), again, set_aside=last)
        if last:
            failure = self._failure(opened.scope, mail, text)
            # The mailbox itself is the sender: the failing actor may not even exist.
            receiver = tell(self.host, tx, failure.scope, f"mailbox:{mail.id}", 1, FailureRaised(failure=failure))
            self.afters.append(After(self.address, receivers={receiver}))
        self.again = wait if self.again is None else min(self.again, wait)

    def _failure(self, scope: str, mail: Mail, text: str) -> Failure:
        return Failure(
            kind=IssueKind.MESSAGE_SET_ASIDE,
            actor=str(self.address),
            scope=ScopeId(scope or APP),
            fingerprint=f"mail:{mail.id}",
            step=mail.word,
            attempt=TRIES,
            code="message_set_aside",
            message=text,
            remedy="Retry it once the cause is gone, or drop it.",
            mailbox_id=mail.id,
        )

    def settle(self) -> None:
        for after in self.afters:
            self.host.committed(after)
        self.host.mail_later(self.address, self.again)

    def fail(self, error: BaseException) -> None:
        self.host.mail_later(self.address, None)  # the sweep comes back to it


class SystemWork(Work):
    """A change of the runtime's own rows, under an actor's lock."""

    def __init__(
        self, address: Address, function: Callable[[Transaction], object], future: asyncio.Future[Any]
    ) -> None:
        self.address, self.function, self.future = address, function, future
        self.result: object = None
        self.error: Exception | None = None

    def run(self, tx: Transaction) -> None:
        attempt(tx, partial(self._change, tx), self._failed)

    def _change(self, tx: Transaction) -> None:
        tx.open(str(self.address))
        self.result = self.function(tx)

    def _failed(self, error: Exception) -> None:
        self.error = error

    def settle(self) -> None:
        if self.future.done():
            return
        if self.error:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


def tell(host: Host, tx: Transaction, scope: ScopeId, sender: str, seq: int, message: Message) -> str:
    """Send a message from the runtime to the scope's coordinator. Return the receiver."""
    return post(tx, host.coordinator(scope), sender, seq, message)


def post(tx: Transaction, to: Address, sender: str, seq: int, message: Message) -> str:
    """Put a message into a mailbox. Return the receiver."""
    tx.execute(
        "INSERT INTO mailbox (receiver, sender, seq, word, body, sent_at) VALUES (?,?,?,?,?,?)",
        str(to), sender, seq, type(message).__name__, message.model_dump_json(), tx.now,
    )  # fmt: skip
    return str(to)


def digest(command: Command[Any]) -> str:
    """Return a digest that is equal for equal commands. A field that a later version adds counts only if it is set."""
    return hashlib.sha256(command.model_dump_json(exclude_defaults=True).encode()).hexdigest()


def dump_refusal(error: FoundryError) -> str:
    return json.dumps({"code": error.code, "detail": error.detail, "field": error.field, "remedy": error.remedy})


def load_refusal(text: str) -> FoundryError:
    """Return the stored refusal. If its class no longer exists, the code is that of the base class."""
    data = json.loads(text)
    cls = error_codes().get(data["code"], FoundryError)
    return cls(data["detail"], field=data["field"], remedy=data["remedy"])
