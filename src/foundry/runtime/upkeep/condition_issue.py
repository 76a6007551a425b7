"""An issue of the app's that stands while something is so, told by who looks again and again.

While it is so, it is kept: recorded where it is not, or where its words have changed. When it is so no longer, it is
ended, once; who has just been started ends it too, as whoever recorded it may be gone.
"""

from __future__ import annotations

from foundry.contracts.issues import EndFailure, Failure, IssueKind, KeepFailure
from foundry.contracts.messages import APP, Address, ScopeId
from foundry.runtime.host import Host
from foundry.runtime.worker.supervisor import Job


class StandingIssue:
    """
    Args:
        fingerprint: there is one issue per fingerprint.
        remedy: what to do.
    """

    def __init__(self, kind: IssueKind, fingerprint: str, remedy: str) -> None:
        self._kind, self._fingerprint, self._remedy = kind, fingerprint, remedy
        self._stands: bool | None = None  # as last told; None: not known

    async def tell(self, who: Host | Job, root: Address, message: str) -> None:
        """
        Args:
            root: who coordinates the app.
            message: what is so; "": it is not.
        """
        if message:
            failure = Failure(
                kind=self._kind,
                actor=str(root),
                scope=ScopeId(APP),
                fingerprint=self._fingerprint,
                code=self._kind.value,
                message=message,
                remedy=self._remedy,
            )
            await who.ask(root, KeepFailure(failure=failure))
        elif self._stands is not False:
            await who.ask(root, EndFailure(fingerprint=self._fingerprint))
        self._stands = bool(message)
