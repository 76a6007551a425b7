"""Runtime issues: the badge in the top bar, and the lists."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from foundry.contracts.issues import IssueKind
from foundry.contracts.messages import Address
from foundry.contracts.organization import IssueView
from foundry.web.templating import template

ISSUES = {
    IssueKind.STEP_RETRYING: "Retrying",
    IssueKind.WORKFLOW_FAILED: "Failed",
    IssueKind.MESSAGE_SET_ASIDE: "Set aside",
    IssueKind.WORKFLOW_CRASHED: "Crashed",
    IssueKind.WORKFLOW_LOST: "Lost",
    IssueKind.SCHEDULE_FAILING: "Failing",
    IssueKind.OVERDUE: "Overdue",
    IssueKind.SANDBOXES_MISSING: "Missing",
    IssueKind.SANDBOX_UNKNOWN: "Unknown",
    IssueKind.DISK_LOW: "Disk low",
}


def badge(organization: str, issues: Sequence[IssueView]) -> Markup:
    """Render the top bar's badge (R19), which links to the runtime issues."""
    worst = any(issue.failure.retry_at is None for issue in issues)
    return template("fragments/issue_badge.html", organization=organization, count=len(issues), worst=worst)


def issue_list(organization: str, scope: str, issues: Sequence[IssueView]) -> Markup:
    """Render a scope's runtime issues, each with its actions (R20).

    Args:
        scope: `organization` or `app`.
    """
    lines = [
        {"issue": issue, "word": ISSUES[issue.failure.kind], "where": actor_link(issue.failure.actor)}
        for issue in issues
    ]
    return template("fragments/issue_list.html", organization=organization, scope=scope, lines=lines)


def actor_link(actor: str) -> Markup:
    """Render an actor's address, as a link if the actor has a page."""
    address = Address.parse(actor)
    pages = {"Task": "tasks", "Repository": "repositories", "Organization": "organizations", "TaskSession": "sessions"}
    if address.kind in pages:
        return Markup('<a href="/{}/{}">{} <code>{}</code></a>').format(
            pages[address.kind], address.key, address.kind, address.key
        )
    return Markup("{} <code>{}</code>").format(address.kind, address.key)
