"""Checkpoints in a sandbox: what git has to do to save a work tree, and to bring it back.

The agent's branch, its index and its files are only read: the work tree is written into a tree through an index of our
own, and the commit that holds it hangs on a ref under `refs/foundry`. No credential is near, so it matters to nobody
but the agent what its own config makes git do here; nothing keeps work from being saved.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from foundry.actors.sandbox_instance.git import Git
from foundry.contracts.task_checkpoints import LEFT_OUT_LIMIT, CheckpointUnfit, Saved
from foundry.sandboxes.scripts import script

SAVE_LIMIT = 300.0  # seconds; a large work tree is read once
UNFIT = 65  # exit code: the commit that the bundle stands on is not here

SAVE, RESTORE = script("git-save"), script("git-restore")


async def save(git: Git, out: str, known: str) -> Saved:
    """Write `out`.bundle and `out`.patch.gz, unless all that is saved has the fingerprint `known`."""
    found = _pairs(await git.script(SAVE, out, known, limit=SAVE_LIMIT))
    one = {name: values[0] for name, values in found.items()}
    left_out = sorted({*found.get("inner", []), *found.get("unread", [])})[:LEFT_OUT_LIMIT]
    if "work" not in one:
        return Saved(fingerprint=one["fingerprint"], left_out=left_out)
    return Saved(
        fingerprint=one["fingerprint"],
        branch=one["branch"],
        head=one["head"],
        work=one["work"],
        base=one["base"],
        commits=int(one["commits"]),
        changed=int(one["changed"]),
        insertions=_number(r"(\d+) insertion", one["lines"]),
        deletions=_number(r"(\d+) deletion", one["lines"]),
        size=int(one["size"]),
        left_out=left_out,
    )


async def restore(
    git: Git, bundle: str, saved: Saved, *, branch: str, base_branch: str, keep_newer: bool, spare: Sequence[str] = ()
) -> str:
    """Bring the branch, the work tree, the other branches and the stashes back, from the parts `bundle`.part-*.

    Args:
        branch: which to check out there; the commits are the saved one's.
        keep_newer: leave the branch and the files alone where GitHub has gone on from the saved head.
        spare: paths that no checkpoint has; they stay.

    Returns:
        The branch's head.

    Raises:
        CheckpointUnfit: the commit that it stands on is not in this clone.
    """
    arguments = (bundle, branch, saved.branch, saved.head, saved.work, saved.base, base_branch)
    done = await git.script(
        RESTORE, *arguments, "keep" if keep_newer else "no", *spare, limit=SAVE_LIMIT, may_end=UNFIT
    )
    if done is None:
        raise CheckpointUnfit(f"the clone has no commit {saved.base}")
    return _pairs(done)["head"][0]


def _pairs(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, value = line.partition("=")
        found.setdefault(name, []).append(value)
    return found


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1]) if found else 0
