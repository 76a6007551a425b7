#!/bin/sh
# git-forward GIT BRANCH: fast-forward branch and files to the fetched head, if the branch is checked out, nothing is
# uncommitted and it has no commits of its own. Prints the number of commits, or nothing.
set -eu
git=$1 branch=$2
there=$("$git" rev-parse --quiet --verify refs/foundry/pushed) || exit 0
[ "$("$git" symbolic-ref --quiet --short HEAD || true)" = "$branch" ] || exit 0
[ -z "$("$git" status --porcelain --untracked-files=all)" ] || exit 0
"$git" merge-base --is-ancestor HEAD "$there" || exit 0
commits=$("$git" rev-list --count "HEAD..$there")
if ! words=$("$git" merge --ff-only --no-stat --no-overwrite-ignore "$there" 2>&1); then
  case $words in *overwritten*) exit 0 ;; esac  # a file that git ignores is in the way
  printf '%s\n' "$words" >&2
  exit 1
fi
echo "$commits"
