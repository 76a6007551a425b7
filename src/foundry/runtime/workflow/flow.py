"""Workflow: long work as a chain of small durable steps, on DBOS.

Guarantee: a step that was recorded never runs again; a step that was under way when the process died runs again and
has to find what its first try made (the id was chosen before). Every attempt that fails, and the end of all
attempts, is reported to the owner and to the scope's runtime issues by the wrapper, not by memory. A step begins
only while the workflow's generation is the one this execution started with.

A step does ONE external thing through a door (`flow.do`), or asks ONE turn (`flow.ask`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar, get_type_hints

import structlog
from dbos import DBOS
from pydantic import TypeAdapter

from foundry.contracts.doors import Doors
from foundry.contracts.errors import FoundryError, Unavailable
from foundry.contracts.ids import WorkflowId
from foundry.contracts.issues import (
    AttemptFailed,
    EndFailure,
    Failure,
    IssueKind,
    RecordFailure,
    WorkflowEnded,
    WorkflowRecovered,
)
from foundry.contracts.messages import APP, Address, Command, Model, ScopeId
from foundry.runtime.actor import RegistrationError, Registry, answer_of
from foundry.runtime.async_tools import woken
from foundry.runtime.host import Host

T = TypeVar("T")
R = TypeVar("R")

DEADLINE = 30.0  # seconds one attempt may last
TRIES = 5  # attempts of a step
BACKOFF = (0.5, 2.0, 5.0, 15.0, 30.0)  # seconds before the next attempt
AWAY = 1.0  # seconds between tries while our own database is away; these are not counted

log = structlog.get_logger("foundry.workflow")


class Scope(StrEnum):
    """Whose runtime issues a workflow's failures are."""

    ORGANIZATION = "organization"
    APP = "app"


class Standing(StrEnum):
    """What an execution is to its workflow."""

    LIVE = "live"
    OLD = "old"  # another one has taken over
    OVER = "over"  # the workflow was cancelled or has ended


class ExecutionStopped(asyncio.CancelledError):
    """This execution is over without an outcome: cancelled, or another one has taken over. DBOS records nothing."""


class StepFailed(Exception):
    """A step's last attempt failed. Already reported."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.step}: {failure.message}")
        self.failure = failure


@dataclass(frozen=True)
class Workflow:
    """A workflow as it was declared."""

    name: str
    owner: str  # an actor kind
    scope: Scope
    steps: tuple[str, ...]
    releases: Mapping[str, str]  # step -> the workflow or command that releases what it made
    run: Callable[[Flow, Any], Awaitable[None]]
    job: type[Model]


@dataclass
class Workflows:
    """The workflows of this process, by name."""

    by_name: dict[str, Workflow] = field(default_factory=dict[str, Workflow])

    def add(self, *workflows: Workflow) -> Workflows:
        for workflow in workflows:
            if workflow.name in self.by_name:
                raise RegistrationError(f"two workflows are called {workflow.name}")
            self.by_name[workflow.name] = workflow
        return self

    def check(self, registry: Registry) -> None:
        """Refuse to start with a workflow that nobody owns or whose failures nobody would hear of (R18)."""
        for workflow in self.by_name.values():
            kind = registry.kinds.get(workflow.owner)
            if kind is None:
                raise RegistrationError(f"workflow {workflow.name}: no actor kind {workflow.owner!r} owns it")
            for word in (AttemptFailed, WorkflowRecovered, WorkflowEnded):
                if word not in kind.handlers:
                    raise RegistrationError(f"workflow {workflow.name}: {workflow.owner} handles no {word.__name__}")


def workflow(
    *,
    owner: str = "",
    scope: Scope | None = None,
    steps: tuple[str, ...] = (),
    releases: Mapping[str, str] | None = None,
) -> Callable[[Callable[[Flow, Any], Awaitable[None]]], Workflow]:
    """Declare a workflow; its function is `async def name(flow, job) -> None`.

    Raises:
        RegistrationError: it has no owner, no scope or no steps, or releases a step it does not have.
    """

    def declare(run: Callable[[Flow, Any], Awaitable[None]]) -> Workflow:
        name = run.__name__
        for missing in [n for n, v in (("owner", owner), ("scope", scope), ("steps", steps)) if not v]:
            raise RegistrationError(f"workflow {name} has no {missing}")
        if unknown := set(releases or {}) - set(steps):
            raise RegistrationError(f"workflow {name} releases steps it does not have: {sorted(unknown)}")
        job = get_type_hints(run).get("job")
        if not (isinstance(job, type) and issubclass(job, Model)):
            raise RegistrationError(f"workflow {name}: its second parameter is `job`, of a Model's type")
        assert scope is not None
        return Workflow(name, owner, scope, steps, releases or {}, run, job)

    return declare


class Flow:
    """What one execution of a workflow may do."""

    def __init__(
        self,
        host: Host,
        doors: Doors,
        workflow: Workflow,
        workflow_id: WorkflowId,
        owner: Address,
        scope: ScopeId,
        standing: Callable[[], Awaitable[Standing]],
        resumed: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.doors = doors
        self.id = workflow_id
        self.owner = owner
        self._host = host
        self._workflow = workflow
        self.scope = scope
        self.standing = standing
        self._resumed = resumed  # after a crash: to be called when it has come further than that
        self.cancelled = asyncio.Event()  # a pause before the next attempt need not be waited for
        self._number = 0
        self._asked: Counter[tuple[str, str, Address]] = Counter()

    async def do(self, step: str, function: Callable[..., Awaitable[T]], *args: object, deadline: float = DEADLINE,
                 tries: int = TRIES, backoff: tuple[float, ...] = BACKOFF) -> T:  # fmt: skip
        """One external thing, through a door. Its result is recorded, so it must not be a secret.

        Args:
            deadline: seconds for one attempt.
            tries: attempts before the step has failed.
            backoff: seconds before the second, third, ... attempt; the last one stands for all later ones.

        Raises:
            StepFailed: the last attempt failed, or trying again cannot help.
        """
        returns = get_type_hints(function).get("return", type(None))
        return await self._step(step, lambda: function(*args), TypeAdapter(returns), deadline, tries, backoff)

    async def ask(self, step: str, address: Address, command: Command[R], *, tries: int = TRIES) -> R:
        """One turn of one actor, exactly once however often this step runs.

        Raises:
            StepFailed: the actor refused, or kept failing.
        """
        asked = (step, type(command).__name__, address)
        self._asked[asked] += 1
        # not the number of the step: another version may have more of them before this one
        key = f"{self.id}/{step}/{self._asked[asked]}"
        adapter: TypeAdapter[R] = TypeAdapter(answer_of(type(command)))

        async def turn() -> R:
            return await self._host.ask(address, command, key=key, caller="workflow", workflow=self.id)

        return await self._step(step, turn, adapter, DEADLINE, tries)

    async def read(self, step: str, view: Callable[..., T], *args: object) -> T:
        """Read a view; its result is recorded, so a replay sees what the first run saw."""
        returns = get_type_hints(view).get("return", type(None))
        return await self._step(step, lambda: self._host.read(view, *args), TypeAdapter(returns), DEADLINE, TRIES)

    async def patched(self, change: str) -> bool:
        """Return True if this execution takes a step that this version added: `if await flow.patched("greeting"): ...`.

        False for a workflow that an earlier version has brought past this point: it goes on as it began. Each change
        has a name of its own (docs/decisions/0010).
        """
        await self.check()
        return await DBOS.patch_async(change)

    async def patch_ended(self, change: str) -> None:
        """In the place of `patched`, once no workflow goes on that an earlier version has begun."""
        await self.check()
        await DBOS.deprecate_patch_async(change)

    async def _step(
        self,
        step: str,
        call: Callable[[], Awaitable[T]],
        adapter: TypeAdapter[T],
        deadline: float,
        tries: int,
        backoff: tuple[float, ...] = BACKOFF,
    ) -> T:
        if step not in self._workflow.steps:
            raise RegistrationError(f"workflow {self._workflow.name} has no step {step!r}")
        self._number += 1
        attempts = Attempts(self, step, tries, deadline, backoff)

        async def body() -> dict[str, object]:
            return await attempts.run(call, adapter)

        await self.check()
        outcome = await DBOS.run_step_async({"name": step}, body)
        if "failed" in outcome:
            raise StepFailed(Failure.model_validate(outcome["failed"]))
        if attempts.made > 1:
            await self.recovered()
        elif attempts.made:
            await self.went_on()
        return adapter.validate_python(outcome["done"], extra="ignore")

    async def check(self) -> None:
        """Go on only while this execution is the live one.

        Raises:
            ExecutionStopped: it is not.
        """
        if await outlast(self.standing) is not Standing.LIVE:
            raise ExecutionStopped

    def failure(self, step: str, attempt: int, error: BaseException, retry_at: datetime | None) -> Failure:
        """An error of ours or of anybody's, normalised (R18)."""
        refusal = error if isinstance(error, FoundryError) else None
        text = refusal.detail if refusal else f"{type(error).__name__}: {error}".rstrip(": ")
        if isinstance(error, TimeoutError):
            text = "no answer within the step's deadline"
        return Failure(
            kind=IssueKind.WORKFLOW_FAILED if retry_at is None else IssueKind.STEP_RETRYING,
            actor=str(self.owner),
            scope=self.scope,
            fingerprint=fingerprint(self.id),
            workflow=self._workflow.name,
            workflow_id=self.id,
            step=step,
            attempt=attempt,
            retry_at=retry_at,
            code=refusal.code if refusal else "internal",
            message=text,
            remedy=refusal.remedy if refusal else "Retry; if it fails again, look at the server's log.",
        )

    async def report(self, failure: Failure) -> None:
        """The on-error hook (R18), whatever the workflow's code does: the scope's coordinator records the failure.

        The owner hears of an attempt now, of the last one by `WorkflowEnded`.
        """
        if failure.retry_at is not None:
            await outlast(lambda: self._host.ask(self.owner, AttemptFailed(failure=failure)))
        await outlast(lambda: self._host.ask(self._host.coordinator(self.scope), RecordFailure(failure=failure)))

    async def recovered(self) -> None:
        """The step whose attempt failed is recorded: what was said of it is over, and crashes count from here."""
        well = WorkflowRecovered(workflow=self._workflow.name, workflow_id=self.id)
        await outlast(lambda: self._host.ask(self.owner, well))
        await self.end_issue()
        if self._resumed:
            await outlast(self._resumed)
            self._resumed = None

    async def went_on(self) -> None:
        """After a crash, this execution does not know what was reported before."""
        if self._resumed:
            await self.recovered()

    async def end_issue(self) -> None:
        ended = EndFailure(fingerprint=fingerprint(self.id))
        await outlast(lambda: self._host.ask(self._host.coordinator(self.scope), ended))


@dataclass
class Attempts:
    """One step's tries, inside the DBOS step, so that only their end is recorded."""

    flow: Flow
    step: str
    tries: int
    deadline: float
    backoff: tuple[float, ...]
    made: int = 0  # by this execution; none if it was recorded before

    async def run(self, call: Callable[[], Awaitable[T]], adapter: TypeAdapter[T]) -> dict[str, object]:
        while True:
            self.made += 1
            await self.flow.check()
            try:
                async with asyncio.timeout(self.deadline):
                    value = await call()
            except Unavailable:  # our own database is away: outlast it, uncounted
                self.made -= 1
                await asyncio.sleep(AWAY)
                continue
            except Exception as error:
                if isinstance(error, FoundryError):
                    log.info("step refused", step=self.step, workflow=self.flow.id, error=error.detail)
                else:
                    log.warning("step failed", step=self.step, workflow=self.flow.id, exc_info=error)
                delay = self.backoff[min(self.made, len(self.backoff)) - 1]
                final = self.made >= self.tries or (isinstance(error, FoundryError) and not error.transient)
                retry_at = None if final else datetime.now(UTC) + timedelta(seconds=delay)
                failure = self.flow.failure(self.step, self.made, error, retry_at)
                await self.flow.check()
                await self.flow.report(failure)
                if await outlast(self.flow.standing) is Standing.OVER:  # cancelled meanwhile, perhaps by who was told
                    await self.flow.end_issue()
                    raise ExecutionStopped from None
                if final:
                    return {"failed": failure.model_dump(mode="json")}
                await woken(self.flow.cancelled, delay)
                continue
            return {"done": adapter.dump_python(value, mode="json")}


async def outlast(call: Callable[[], Awaitable[T]]) -> T:
    """Call until our own database is there again."""
    while True:
        try:
            return await call()
        except Unavailable:
            await asyncio.sleep(AWAY)


def fingerprint(workflow_id: WorkflowId) -> str:
    """The runtime issue of a workflow: it has one, whichever of its steps failed."""
    return f"workflow:{workflow_id}"


def scope_of(workflow: Workflow, scope: ScopeId) -> ScopeId:
    """Where the failures of this execution go."""
    return APP if workflow.scope is Scope.APP else scope
