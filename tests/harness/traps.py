"""What happens at the steps of workflows while a test looks: noted, killed, held, stumbling or broken there."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

from foundry.runtime.workflow import flow as workflow
from foundry.runtime.workflow.flow import TRIES, Flow
from tests.waiting import eventually

# Steps that see to it themselves that an answer which was lost means no second try
ONCE = {("prompt", "sending the prompt")}
HELD = 300.0  # seconds at the most
SOON = (0.02,)  # seconds before the next attempt of a step that was made to fail


class MadeToFail(Exception):
    """A step's attempt, by a test."""


@dataclass
class Traps:
    """What is to happen. `during`: the outside has done it and nothing is recorded; `after`: it is recorded."""

    journal: Path | None = None  # gets a line when a step's body begins, and when it is recorded
    die: str = ""  # WORKFLOW:STEP:during or :after
    die_once_at_each: bool = False  # at each step of each workflow, `during`; the journal knows where it has been
    held: set[tuple[str, str, str]] = field(default_factory=set[tuple[str, str, str]])  # WORKFLOW, STEP, do or ask
    gate: Path | None = None  # these wait, `during`, for as long as this file is there
    pretended: dict[tuple[str, str], Any] = field(default_factory=dict[tuple[str, str], Any])  # answers instead of work
    stumble: bool = False  # each step fails first, then loses its answer, then succeeds
    broken: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])  # steps that fail, by workflow and step
    met: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])  # steps that ran, by workflow and step

    def note(self, kind: str, flow: Flow, step: str) -> None:
        if self.journal:
            with self.journal.open("a") as file:
                file.write(f"{kind}\t{flow.id}\t{flow._workflow.name}\t{step}\t{flow._number}\t{time.time():.2f}\n")

    async def hold(self, flow: Flow, step: str, call: Any) -> None:
        kind = call.__qualname__.split(".")[1]  # Flow.do or Flow.ask, where the call was made
        gate = self.gate
        if (flow._workflow.name, step, kind) in self.held and gate and gate.exists():
            self.note("held", flow, step)
            await eventually(lambda: not gate.exists(), limit=HELD)

    def been(self, name: str, step: str) -> bool:
        """Whether an earlier life died here."""
        assert self.journal
        return any(line.split("\t")[2:4] == [name, step] for line in _lines(self.journal) if line.startswith("died"))


def _lines(journal: Path) -> list[str]:
    return journal.read_text().splitlines() if journal.exists() else []


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def spring(traps: Traps) -> tuple[Any, Any]:
    """Put the traps into this process; gives what was there before."""
    step_of, do_of = Flow._step, Flow.do

    async def _do(self: Flow, step: str, function: Any, *args: Any, **how: Any) -> Any:
        place = (self._workflow.name, step)
        if place in traps.pretended:
            answer = traps.pretended[place]

            @wraps(function)
            async def pretended(*_: Any) -> Any:
                return answer

            return await do_of(self, step, pretended, *args, **how)
        return await do_of(self, step, function, *args, **how)

    async def _step(self: Flow, step: str, call: Any, adapter: Any, deadline: float, tries: int, *backoff: Any) -> Any:
        name = self._workflow.name
        attempts = 0

        async def observed() -> Any:
            nonlocal attempts
            attempts += 1
            traps.met.add((name, step))
            traps.note("began", self, step)
            if (name, step) in traps.broken:
                raise MadeToFail("it was made to fail")
            if traps.stumble and attempts == 1 and tries >= TRIES:
                raise MadeToFail("it was made to fail once")
            value = await call()
            if f"{name}:{step}:during" == traps.die:
                die()
            await traps.hold(self, step, call)
            if traps.die_once_at_each and not traps.been(name, step):
                traps.note("died", self, step)
                die()
            if traps.stumble and attempts == 2 and tries >= TRIES and (name, step) not in ONCE:
                raise MadeToFail("its answer was lost")
            return value

        if traps.stumble or (name, step) in traps.broken:
            backoff = (SOON,)
        value = await step_of(self, step, observed, adapter, deadline, tries, *backoff)
        traps.note("recorded", self, step)
        if f"{name}:{step}:after" == traps.die:
            die()
        return value

    workflow.Flow._step, workflow.Flow.do = _step, _do  # type: ignore[method-assign]
    return step_of, do_of


@contextmanager
def sprung(traps: Traps) -> Iterator[Traps]:
    """The traps, for a while."""
    before = spring(traps)
    try:
        yield traps
    finally:
        workflow.Flow._step, workflow.Flow.do = before  # type: ignore[method-assign]
