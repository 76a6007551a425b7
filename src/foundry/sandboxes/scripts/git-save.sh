#!/bin/sh
# git-save GIT OUT KNOWN: write OUT.bundle and OUT.patch.gz, unless everything to save has the fingerprint KNOWN.
# Prints NAME=VALUE lines.
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
