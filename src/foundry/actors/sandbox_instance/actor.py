"""SandboxInstance: one sandbox's lifecycle, endpoint and log."""

from __future__ import annotations

from foundry.actors.sandbox_instance.jobs import FetchLog
from foundry.actors.sandbox_instance.tables import sandboxes
from foundry.actors.sandbox_instance.views import view
from foundry.contracts import addresses
from foundry.contracts.errors import WrongState
from foundry.contracts.ids import SandboxId, TaskId
from foundry.contracts.issues import AttemptFailed, WorkflowEnded, WorkflowRecovered
from foundry.contracts.messages import millis
from foundry.contracts.sandbox_instance import (
    CreateSandbox,
    DiskSeen,
    ForgetSandbox,
    LogSeen,
    ReadLog,
    SandboxChanged,
    SandboxMissing,
    SandboxMoved,
    SandboxState,
    SandboxVanished,
)
from foundry.runtime.actor import Actor, creates, handles, receives
from foundry.runtime.turn import Turn

S = SandboxState
NEXT: dict[SandboxState, frozenset[SandboxState]] = {
    S.CREATING: frozenset({S.CREATING, S.STOPPED, S.STARTING, S.RETAINED, S.LOST, S.DELETED}),
    S.STOPPED: frozenset({S.STOPPED, S.STARTING, S.RUNNING, S.RETAINED, S.LOST, S.DELETED}),
    S.STARTING: frozenset({S.STARTING, S.RUNNING, S.STOPPED, S.UNREACHABLE, S.RETAINED, S.LOST, S.DELETED}),
    S.RUNNING: frozenset({S.RUNNING, S.STARTING, S.STOPPED, S.UNREACHABLE, S.RETAINED, S.LOST, S.DELETED}),
    S.UNREACHABLE: frozenset({S.STARTING, S.RUNNING, S.STOPPED, S.UNREACHABLE, S.RETAINED, S.LOST, S.DELETED}),
    S.RETAINED: frozenset({S.RETAINED, S.STARTING, S.LOST, S.DELETED}),
    S.LOST: frozenset({S.LOST, S.DELETED}),
    S.DELETED: frozenset({S.DELETED}),
}


class SandboxInstance(Actor):
    """Owns what is known of one sandbox. Its id is the sandbox's name at the provider, chosen before the create, so
    one that was made but not recorded is found by it. The token of its sandbox-agent is derived from the server's
    secret and this id (docs/decisions), so it is stored nowhere. Only its door talks to the provider."""

    topic = "sandbox"

    @creates(CreateSandbox)
    def create(self, turn: Turn, command: CreateSandbox) -> None:
        """A repeat, of a retried provisioning, changes nothing."""
        if turn.born:
            turn.insert(sandboxes, task=command.task, state=S.CREATING.value, state_since=millis(turn.now))
            self._changed(turn)

    @handles(SandboxMoved)
    def moved(self, turn: Turn, command: SandboxMoved) -> None:
        row = turn.one(sandboxes)
        state, to = SandboxState(row.state), command.state
        if to not in NEXT[state]:
            raise WrongState(f"the sandbox is {state.value} and cannot become {to.value}")
        turn.update(
            sandboxes,
            state=to.value,
            state_since=row.state_since if to is state else millis(turn.now),
            endpoint=command.endpoint.model_dump_json() if command.endpoint else row.endpoint,
            provider=command.provider or row.provider,
            warning=row.warning if command.warning is None else command.warning,
            disk=None if to is S.DELETED else row.disk,
            remove_at=millis(command.remove_at) if command.remove_at else None,
        )
        self._changed(turn)

    @handles(DiskSeen)
    def disk_seen(self, turn: Turn, command: DiskSeen) -> None:
        row = turn.one(sandboxes)
        if row.state not in (S.LOST, S.DELETED) and row.disk != command.disk:
            turn.update(sandboxes, disk=command.disk)
            self._changed(turn)

    @handles(SandboxVanished)
    def vanished(self, turn: Turn, command: SandboxVanished) -> None:
        """The task decides what becomes of that."""
        row = turn.one(sandboxes)
        if row.state not in (S.CREATING, S.LOST, S.DELETED):  # creating: it is not there yet
            turn.send(addresses.task(TaskId(row.task)), SandboxMissing(sandbox=SandboxId(turn.key)))

    @receives(ForgetSandbox)
    def forget(self, turn: Turn, message: ForgetSandbox) -> None:
        if turn.one(sandboxes).state not in (S.LOST, S.DELETED):
            gone = {"endpoint": None, "disk": None, "remove_at": None}
            turn.update(sandboxes, state=S.LOST.value, state_since=millis(turn.now), **gone)
            self._changed(turn)

    @handles(LogSeen)
    def log_seen(self, turn: Turn, command: LogSeen) -> None:
        turn.update(sandboxes, log=command.log)
        self._changed(turn)

    @handles(ReadLog)
    def read_log(self, turn: Turn, command: ReadLog) -> None:
        if turn.one(sandboxes).state in (S.LOST, S.DELETED):
            raise WrongState("the sandbox is gone; its log is what was last read")
        turn.start("fetch_log", FetchLog(sandbox=turn.key))

    @handles(AttemptFailed)
    def attempt_failed(self, turn: Turn, command: AttemptFailed) -> None:
        """Nothing: attempts that failed are not shown."""

    @handles(WorkflowRecovered)
    def attempt_succeeded(self, turn: Turn, command: WorkflowRecovered) -> None:
        """Nothing, for the same reason."""

    @receives(WorkflowEnded)
    def log_not_read(self, turn: Turn, message: WorkflowEnded) -> None:
        """The log could not be read: said in its place."""
        if message.failure is not None:
            turn.update(sandboxes, log=f"(the log could not be read: {message.failure.message})")
            self._changed(turn)

    def _changed(self, turn: Turn) -> None:
        turn.publish(SandboxChanged(entity=turn.key, sandbox=view(turn.one(sandboxes))))
