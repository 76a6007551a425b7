"""A sandbox's card."""

from __future__ import annotations

from markupsafe import Markup

from foundry.contracts.sandbox_instance import SandboxState, SandboxView
from foundry.contracts.sizes import human
from foundry.web.templating import template


def card(view: SandboxView | None, *, may_write: bool = True) -> Markup:
    tones = {
        SandboxState.CREATING: "busy",
        SandboxState.STARTING: "busy",
        SandboxState.RUNNING: "good",
        SandboxState.UNREACHABLE: "bad",
        SandboxState.RETAINED: "wait",
        SandboxState.LOST: "bad",
    }
    tone = "quiet" if view is None else tones.get(view.state, "quiet")
    can_read = may_write and view is not None and view.state not in (SandboxState.LOST, SandboxState.DELETED)
    size = human(view.disk) if view is not None and view.disk is not None else ""
    return template("fragments/sandbox.html", sandbox=view, tone=tone, can_read=can_read, size=size)
