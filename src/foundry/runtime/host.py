"""Host: the runtime as its own parts see it. They are given it, since the runtime is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

from foundry.contracts.ids import WorkflowId
from foundry.contracts.issues import WorkflowEnded
from foundry.contracts.messages import Address, Command, ScopeId
from foundry.runtime.actor import Registry
from foundry.runtime.store.base import Transaction
from foundry.runtime.turn import Ids

if TYPE_CHECKING:  # these are among the parts
    from foundry.runtime.mailbox.notify import Notice
    from foundry.runtime.transactions import After

R = TypeVar("R")
T = TypeVar("T")


class Host(Protocol):
    """`foundry.runtime.runtime.Runtime` is one; it says what each of these does."""

    registry: Registry
    ids: Ids
    executor: str

    # from anywhere on the loop

    async def ask(
        self, address: Address, command: Command[R], *, key: str | None = None, caller: str = "",
        workflow: WorkflowId | None = None, lease: tuple[str, int] | None = None,
    ) -> R: ...  # fmt: skip

    async def read(self, function: Callable[..., T], *args: object) -> T: ...
    async def system(self, address: Address, function: Callable[[Transaction], T]) -> T: ...
    async def end_workflow(self, owner: Address, ended: WorkflowEnded, generation: int | None) -> None: ...

    def coordinator(self, scope: ScopeId) -> Address: ...

    # after a commit, here or on another replica

    def committed(self, after: After) -> None: ...
    def heard(self, notice: Notice) -> None: ...
    def mail_later(self, address: Address, after: float | None) -> None: ...
