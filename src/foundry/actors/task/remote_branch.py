"""The task's branch on GitHub: which words about it are news, and what it means for the work here. Pure functions.

What is told comes late, twice, and in another order; GitHub dates it in whole seconds, by its own clock. So a word
about a branch is news, or not, by the first of these that applies:

1. It is where it was known to be: no news.
2. Who compared is believed if nothing was heard since they looked.
3. It is dated before what is known: no news.
4. It begins where the branch was known to be: news.
5. It leads to where the branch was before, or to an older head that the task pushed itself: no news.
6. Else it is news: what led there was missed.

Whatever is taken wrongly by 5 or 6 is put right by who compares, a minute later.
"""

from __future__ import annotations

from foundry.actors.task.jobs import Heard
from foundry.contracts.messages import millis
from foundry.contracts.task import WorkTree
from foundry.contracts.task_branch import BranchMoved, Upstream, UpstreamState

OWN = 20  # own heads that are remembered
SKEW = 60_000  # milliseconds by which our clock may differ from GitHub's


def heard_of(stored: str | None) -> Heard | None:
    return Heard.model_validate_json(stored) if stored else None


def after_word(known: Heard | None, told: BranchMoved, now: int) -> Heard | None:
    """What is known after this word; None if it is no news.

    Args:
        now: Unix time in milliseconds.
    """
    if known is None:
        if told.compared:
            return Heard(head=told.head, since=now - SKEW)
        if not told.head:  # what was never there is not gone, and what is made is told of once more, with its commit
            return None
        return Heard(head=told.head, before=told.before, since=_dated(told, now))
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


def after_push(known: Heard | None, head: str, now: int) -> Heard:
    """What is known after the task's own push."""
    pushed = [*(known.pushed if known else []), head][-OWN:]
    before = known.head if known else None
    if known and known.head == head:  # its webhook was faster
        return known.model_copy(update={"pushed": pushed, "tried": head, "later": False})
    return Heard(head=head, before=before, since=now - SKEW, pushed=pushed, tried=head)


def after_rejection(known: Heard | None, work: WorkTree) -> Heard:
    """What is known after GitHub has not taken a push: it is elsewhere than was thought."""
    if known is None:
        return Heard(head="")
    even = known.head in (work.head, work.upstream)
    return known.model_copy(update={"head": "" if even else known.head, "before": known.head, "tried": None})


def shown(heard: Heard | None, work: WorkTree, branch: str) -> Upstream | None:
    """What a person is told."""
    if heard is None:
        return None
    if heard.head is None:
        said = "The branch was deleted on GitHub; publishing pushes it again."
        return Upstream(head=None, state=UpstreamState.DELETED, said=said)
    if heard.head == work.head:
        return Upstream(head=heard.head, state=UpstreamState.EVEN)
    if heard.head != work.upstream:
        said = "GitHub's branch has commits that are not here."
        return Upstream(head=heard.head, state=UpstreamState.AHEAD, said=said)
    if not work.behind:
        return Upstream(head=heard.head, state=UpstreamState.EVEN)
    commits = "1 commit of GitHub's is" if work.behind == 1 else f"{work.behind} commits of GitHub's are"
    said = f"{commits} fetched as origin/{branch}: ask the agent to merge or rebase."
    return Upstream(head=heard.head, state=UpstreamState.FETCHED, said=said)


def _moved(known: Heard, told: BranchMoved, since: int) -> Heard:
    before = told.before or known.head
    seen = {"head": told.head, "before": before, "since": max(since, known.since), "later": False}
    return known.model_copy(update=seen)


def _older(known: Heard, told: BranchMoved) -> bool:
    return told.at is not None and millis(told.at) < known.since


def _dated(told: BranchMoved, now: int) -> int:
    return millis(told.at) if told.at else now - SKEW
