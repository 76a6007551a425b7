"""What the log says of turns that take long."""

from __future__ import annotations

import threading

import pytest
from structlog.testing import capture_logs

from foundry.contracts.messages import Address
from foundry.runtime.store import slow_turns as watch
from foundry.runtime.store.base import Transaction, Work


class Turns(Work):
    """Takes longer than one turn should; says how long the longest of its own took."""

    address = Address("Ledger", "a")

    def __init__(self, slowest: float | None) -> None:
        self.slowest = slowest

    def run(self, tx: Transaction) -> None: ...
    def settle(self) -> None: ...
    def fail(self, error: BaseException) -> None: ...


@pytest.mark.parametrize(("slowest", "said"), [(None, 1), (watch.SLOW / 2, 0), (watch.SLOW * 2, 1)])
def test_a_long_batch_of_quick_turns_is_no_slow_turn(slowest: float | None, said: int) -> None:
    with capture_logs() as logs, watch.Watch().doing(Turns(slowest)):
        threading.Event().wait(watch.SLOW * 1.2)
    assert [line["event"] for line in logs] == ["slow turn"] * said
