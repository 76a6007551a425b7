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

SAVE_LIMIT = 300.0  # seconds; a large work tree is read once
UNFIT = 65  # exit code: the commit that the bundle stands on is not here

SAVE = r"""
set -eu
git=$1 out=$2 known=$3
dir=$("$git" rev-parse --absolute-git-dir)
refs=refs/foundry/save/${out##*/}
forget() { "$git" for-each-ref --format='delete %(refname)' "$refs" | "$git" update-ref --stdin; }
trap 'rm -f "$out.index" "$out.index.lock" "$out.errors"; forget' EXIT
rm -f "$out".*
find "$dir" -maxdepth 1 -name 'foundry-*' -mmin +60 -delete  # what a save that was killed has left

head=$("$git" rev-parse HEAD)
base=$("$git" rev-parse refs/foundry/base)
branch=$("$git" symbolic-ref --quiet --short HEAD || true)

# what is not committed: through an index of our own, which starts as the agent's, for its cache of what is unchanged
[ ! -f "$dir/index" ] || cp "$dir/index" "$out.index"
export GIT_INDEX_FILE="$out.index"
[ -f "$out.index" ] || "$git" read-tree HEAD
# what the agent told git not to look at is looked at
hidden=$("$git" ls-files -v | grep '^[a-zS] ' || true)
if [ -n "$hidden" ]; then
  printf '%s\n' "$hidden" | sed -n 's/^[a-z] //p' | "$git" update-index --no-assume-unchanged --stdin
  [ "$("$git" config --bool core.sparseCheckout || true)" = true ] \
    || printf '%s\n' "$hidden" | sed -n 's/^[Ss] //p' | "$git" update-index --no-skip-worktree --stdin
fi
"$git" add --all --ignore-errors >/dev/null 2>"$out.errors" || true
tree=$("$git" write-tree)
unset GIT_INDEX_FILE
export GIT_AUTHOR_NAME=Foundry GIT_AUTHOR_EMAIL=foundry@localhost GIT_AUTHOR_DATE='@0 +0000'
export GIT_COMMITTER_NAME=Foundry GIT_COMMITTER_EMAIL=foundry@localhost GIT_COMMITTER_DATE='@0 +0000'
work=$(echo 'Work tree' | "$git" commit-tree "$tree" -p "$head")
"$git" update-ref "$refs/work" "$work"

# every stash has a ref while it is saved
number=0
for stash in $("$git" reflog show --format=%H refs/stash -- 2>/dev/null || true); do
  "$git" update-ref "$refs/stash/$(printf %04d "$number")" "$stash"
  number=$((number + 1))
done

fingerprint=$({ echo "$branch"; "$git" for-each-ref --format='%(objectname) %(refname)' refs/heads
  "$git" for-each-ref --format='%(objectname) %(refname:lstrip=4)' "$refs"; } | "$git" hash-object --stdin)
printf 'fingerprint=%s\n' "$fingerprint"

# what is not in it, also where nothing else is new: repositories inside this one, what cannot be read, and other work
# trees with changes of their own
"$git" ls-tree -r "$work" | sed -n 's/^160000 commit \([0-9a-f]*\)\t/\1 /p' | while read -r commit inner; do
  if [ "$("$git" rev-parse --quiet --verify "$base:$inner" || true)" = "$commit" ]; then  # a submodule, as it was
    [ -e "$inner/.git" ] && [ -n "$("$git" -C "$inner" status --porcelain 2>/dev/null)" ] || continue
  fi
  echo "inner=$inner"
done
sed -n "s/^error: unable to index file '\(.*\)'$/unread=\1/p" "$out.errors"
sed -n "s/^error: '\(.*\)\/' does not have a commit checked out$/inner=\1/p" "$out.errors"
"$git" worktree list --porcelain | sed -n 's/^worktree //p' | tail -n +2 | while read -r other; do
  [ -z "$("$git" -C "$other" status --porcelain 2>/dev/null)" ] || echo "inner=$other"
done
[ "$fingerprint" != "$known" ] || exit 0

"$git" bundle create --quiet "$out.bundle" --branches --glob="$refs" --not "$base"
"$git" diff --binary --no-ext-diff --no-textconv --no-color "$base" "$work" >"$out.patch"
gzip -n -f "$out.patch"

printf 'branch=%s\nhead=%s\nwork=%s\nbase=%s\n' "$branch" "$head" "$work" "$base"
printf 'commits=%s\n' "$("$git" rev-list --count "$base..$head")"
printf 'changed=%s\n' "$("$git" diff --no-ext-diff --name-only "$head" "$work" | wc -l)"
printf 'lines=%s\n' "$("$git" diff --no-ext-diff --no-textconv --shortstat "$base" "$work")"
printf 'size=%s\n' "$(wc -c <"$out.bundle")"
"""

RESTORE = r"""
set -eu
git=$1 bundle=$2 branch=$3 saved_branch=$4 head=$5 work=$6 base=$7 base_branch=$8 newer=$9
shift 9
for spared do set -- "$@" -e "/$spared"; shift; done
cat "$bundle".part-* >"$bundle"
rm -f "$bundle".part-*
trap 'rm -f "$bundle"' EXIT
"$git" cat-file -e "$base^{commit}" 2>/dev/null || exit 65
"$git" for-each-ref --format='delete %(refname)' refs/foundry/restored refs/foundry/stash | "$git" update-ref --stdin
"$git" bundle unbundle "$bundle" | while read -r commit name; do
  case $name in
    refs/heads/*) "$git" update-ref "refs/foundry/restored/${name#refs/heads/}" "$commit" ;;
    */stash/*) "$git" update-ref "refs/foundry/stash/${name##*/}" "$commit" ;;
  esac
done

remote=$("$git" rev-parse --quiet --verify "refs/remotes/origin/$branch" || true)
if [ "$newer" = keep ] && [ -n "$remote" ] && [ "$remote" != "$head" ] \
    && "$git" merge-base --is-ancestor "$head" "$remote"; then
  printf 'newer=%s\n' "$remote"  # GitHub has gone on: what was not committed no longer fits by itself
else
  "$git" checkout --quiet --force -B "$branch" "$head"
  "$git" clean -f -d --quiet "$@"
  "$git" read-tree --reset -u "$work"
  "$git" reset --quiet
fi

# the other branches, and the stashes that are not here
"$git" for-each-ref --format='%(objectname) %(refname:lstrip=3)' refs/foundry/restored | while read -r commit name; do
  [ "$name" = "$branch" ] || [ "$name" = "$saved_branch" ] || "$git" update-ref "refs/heads/$name" "$commit"
done
"$git" for-each-ref --sort=-refname --format='%(objectname)' refs/foundry/stash | while read -r stash; do
  "$git" reflog show --format=%H refs/stash -- 2>/dev/null | grep -q "$stash" \
    || "$git" stash store -m 'Restored by Foundry' "$stash"
done
if "$git" rev-parse --quiet --verify "refs/remotes/origin/$base_branch" >/dev/null; then
  "$git" update-ref refs/foundry/base "$("$git" merge-base HEAD "refs/remotes/origin/$base_branch")"
fi
printf 'head=%s\n' "$("$git" rev-parse HEAD)"
"""


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
