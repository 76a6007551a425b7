"""What a process publishes, for a test or a benchmark that hears all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from foundry.contracts.messages import Address
from foundry.runtime.runtime import Runtime
from foundry.runtime.topic import Published


def listen(runtime: Runtime, listener: Callable[[Address, Sequence[Published]], None]) -> None:
    """Call it with all events that this process commits from now on."""
    publish = runtime.hub.publish

    def both(address: Address, events: Sequence[Published]) -> None:
        listener(address, events)
        publish(address, events)

    runtime.hub.publish = both  # type: ignore[method-assign]
