"""The task's branch on GitHub: which reports of it are news, and what its head means for the work here. Pure functions.

Reports come late, twice, and in another order; GitHub dates them in whole seconds, by its own clock. So a report of a
branch is news, or not, by the first of these that applies:

1. The head is the known one: no news.
2. The poller's comparison is believed if nothing was reported since it looked.
3. It is dated before what is known: no news.
4. It begins at the known head: news.
5. It leads to the head before, or to an older one that the task pushed itself: no news.
6. Otherwise it is news: the report that led there was missed.

Whatever 5 or 6 decide wrongly, the poller corrects within a minute.
"""

from __future__ import annotations

from foundry.contracts.messages import Model, millis
from foundry.contracts.repository import RepositoryRef
from foundry.contracts.task import PullRequestRef, WorkTree
from foundry.contracts.task_branch import BranchMoved, Upstream, UpstreamState

OWN = 20  # own heads that are remembered
SKEW = 60_000  # milliseconds by which our clock may differ from GitHub's


class RemoteHead(Model):
    """GitHub's branch as last seen."""

    head: str | None  # none: it was deleted; empty: it was made, at a commit that was not told
    before: str | None = None  # where it was before that
    since: int = 0  # Unix ms by GitHub's clock; reports with an earlier date are ignored
    pushed: list[str] = []  # the task's own latest heads, the newest last
    tried: str | None = None  # the head for which a fetch started automatically
    later: bool = False  # a fetch found an agent at work: the work tree may follow when that has ended


class OpenBranch(Model):
    """An open task's branch, for the poller that compares it with GitHub's."""

    repository: RepositoryRef
    branch: str
    known: str | None  # the head as last heard
    heard: bool  # GitHub has reported this branch at least once
    pull_request: PullRequestRef | None


def after_news(known: RemoteHead | None, told: BranchMoved, now: int) -> RemoteHead | None:
    """Return what is known after this report; None if the report has nothing new.

    Args:
        now: Unix time in milliseconds.
    """
    if known is None:
        if told.compared:
            return RemoteHead(head=told.head, since=now - SKEW)
        if not told.head:  # what was never there is not gone, and what is made is told of once more, with its commit
            return None
        return RemoteHead(head=told.head, before=told.before, since=_dated(told, now))
    if told.head == known.head:
        return None
    if told.compared:
        return _moved(known, told, now - SKEW) if told.before == known.head else None
    if told.head == "":  # made, and nothing else is said
        return _moved(known, told, _dated(told, now)) if known.head is None and not _older(known, told) else None
    if _older(known, told):
        return None
    led_here = told.head == known.before or told.head in known.pushed
    if led_here and told.before != known.head:
        return None
    return _moved(known, told, _dated(told, now))


def after_push(known: RemoteHead | None, head: str, now: int) -> RemoteHead:
    """What is known after the task's own push."""
    pushed = [*(known.pushed if known else []), head][-OWN:]
    before = known.head if known else None
    if known and known.head == head:  # its webhook was faster
        return known.model_copy(update={"pushed": pushed, "tried": head, "later": False})
    return RemoteHead(head=head, before=before, since=now - SKEW, pushed=pushed, tried=head)


def after_rejection(known: RemoteHead | None, work: WorkTree) -> RemoteHead:
    """What is known after GitHub has not taken a push: it is elsewhere than was thought."""
    if known is None:
        return RemoteHead(head="")
    even = known.head in (work.head, work.upstream)
    return known.model_copy(update={"head": "" if even else known.head, "before": known.head, "tried": None})


def shown(known: RemoteHead | None, work: WorkTree, branch: str) -> Upstream | None:
    """What a person is told."""
    if known is None:
        return None
    if known.head is None:
        said = "The branch was deleted on GitHub; publishing pushes it again."
        return Upstream(head=None, state=UpstreamState.DELETED, said=said)
    if known.head == work.head:
        return Upstream(head=known.head, state=UpstreamState.EVEN)
    if known.head != work.upstream:
        said = "GitHub's branch has commits that are not here."
        return Upstream(head=known.head, state=UpstreamState.AHEAD, said=said)
    if not work.behind:
        return Upstream(head=known.head, state=UpstreamState.EVEN)
    commits = "1 commit from GitHub is" if work.behind == 1 else f"{work.behind} commits from GitHub are"
    said = f"{commits} fetched as origin/{branch}: ask the agent to merge or rebase."
    return Upstream(head=known.head, state=UpstreamState.FETCHED, said=said)


def _moved(known: RemoteHead, told: BranchMoved, since: int) -> RemoteHead:
    before = told.before or known.head
    seen = {"head": told.head, "before": before, "since": max(since, known.since), "later": False}
    return known.model_copy(update=seen)


def _older(known: RemoteHead, told: BranchMoved) -> bool:
    return told.at is not None and millis(told.at) < known.since


def _dated(told: BranchMoved, now: int) -> int:
    return millis(told.at) if told.at else now - SKEW
