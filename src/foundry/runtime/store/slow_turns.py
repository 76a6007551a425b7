"""Says which turns take long: a line in the log over 50 ms, a failing health check over 5 s."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Generator
from contextlib import contextmanager

import structlog

from foundry.runtime.store.base import Work

SLOW = 0.05  # seconds; a turn should take well under a millisecond
STUCK = 5.0  # seconds

log = structlog.get_logger("foundry.runtime")


class Watch:
    """What each store thread is doing now, and since when."""

    def __init__(self) -> None:
        self._doing: dict[int, tuple[float, str]] = {}

    @contextmanager
    def doing(self, work: Work) -> Generator[None]:
        thread, label = threading.get_ident(), work.label()
        began = time.perf_counter()
        self._doing[thread] = (began, label)
        try:
            yield
        finally:
            del self._doing[thread]
            took = time.perf_counter() - began if work.slowest is None else work.slowest
            if took > SLOW:
                log.warning("slow turn", work=label, milliseconds=round(took * 1000))

    def stuck(self) -> str | None:
        now = time.perf_counter()
        for thread, (began, label) in list(self._doing.items()):
            if now - began > STUCK:
                frame = sys._current_frames().get(thread)  # pyright: ignore[reportPrivateUsage]
                stack = "".join(traceback.format_stack(frame)) if frame else ""
                return f"{label} has been running for {now - began:.1f} s\n{stack}"
        return None
