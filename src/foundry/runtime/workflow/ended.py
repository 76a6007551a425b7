"""The end of a workflow, as a turn of its owner."""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from foundry.contracts.issues import WorkflowEnded
from foundry.contracts.messages import Address
from foundry.runtime.host import Host
from foundry.runtime.store.base import Transaction, Work
from foundry.runtime.transactions import After, apply, attempt, post

log = structlog.get_logger("foundry.workflow")


class EndWork(Work):
    """A workflow has ended. One turn deletes its row and its steps' stored answers, and notifies its owner.

    If the owner's turn fails, the notice goes into the owner's mailbox, and is retried like any message.
    """

    def __init__(self, host: Host, owner: Address, ended: WorkflowEnded, future: asyncio.Future[None],
                 generation: int | None) -> None:  # fmt: skip
        self.host, self.address, self.ended, self.future = host, owner, ended, future
        self.generation = generation  # only the execution of this one ends it; None: whichever it is
        self.after: After | None = None

    single = False

    def label(self) -> str:
        return f"end of {self.ended.workflow} of {self.address}"

    def run(self, tx: Transaction) -> None:
        attempt(tx, partial(self._turn, tx), partial(self._failed, tx))

    def _turn(self, tx: Transaction) -> None:
        opened = tx.open(str(self.address))
        if not self._removed(tx) or not opened.exists or opened.deleted:
            return
        kind = self.host.registry.kind(self.address)
        handler = kind.handler(WorkflowEnded)
        _, self.after, _ = apply(self.host, tx, kind, self.address, handler, self.ended, opened=opened)

    def _removed(self, tx: Transaction) -> bool:
        """Delete the row. Return True if this work ends the workflow."""
        gone = tx.execute(
            "DELETE FROM workflows WHERE id=? AND generation=coalesce(?, generation) RETURNING id",
            self.ended.workflow_id, self.generation,
        )  # fmt: skip
        if gone:
            tx.execute("DELETE FROM asks WHERE workflow=?", self.ended.workflow_id)
        return bool(gone)

    def _failed(self, tx: Transaction, error: Exception) -> None:
        log.error("the end of a workflow was not taken; its owner's mailbox has it", work=self.label(), exc_info=error)
        if self._removed(tx):
            self._mailed(tx)

    def _mailed(self, tx: Transaction) -> None:
        sender = f"workflow:{self.ended.workflow_id}"
        self.after = After(self.address, receivers={post(tx, self.address, sender, 1, self.ended)})

    def settle(self) -> None:
        if self.after:
            self.host.committed(self.after)
        if not self.future.done():
            self.future.set_result(None)

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)
