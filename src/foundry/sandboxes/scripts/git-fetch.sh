#!/bin/sh
# git-fetch GIT URL BRANCH BASE: fetch branch and base. The refs are set only if nobody, such as a push, has set them in
# the meantime. Prints the head of the remote branch, or nothing if the remote does not have it.
set -eu
git=$1 url=$2 branch=$3 base=$4
new=refs/foundry/fetched tracking="refs/remotes/origin/$branch" zero=0000000000000000000000000000000000000000
at() { "$git" rev-parse --quiet --verify "$1" || true; }
pushed=$(at refs/foundry/pushed) tracked=$(at "$tracking")
listed=$("$git" ls-remote "$url" "refs/heads/$branch" "refs/heads/$base")
has() { printf '%s\n' "$listed" | cut -f 2 | grep -qxF "refs/heads/$1"; }
set --
if has "$base"; then set -- "+refs/heads/$base:refs/remotes/origin/$base"; fi
if has "$branch"; then set -- "$@" "+refs/heads/$branch:$new"; fi
if [ $# -gt 0 ]; then
  "$git" fetch --quiet --no-tags --no-recurse-submodules --no-write-fetch-head --no-auto-maintenance "$url" "$@"
fi
if has "$branch"; then
  found=$(at "$new")
  printf 'update %s %s %s\n' refs/foundry/pushed "$found" "${pushed:-$zero}" "$tracking" "$found" "${tracked:-$zero}" \
    | "$git" update-ref --stdin 2>/dev/null || true
  "$git" update-ref -d "$new"
  at refs/foundry/pushed
else
  [ -z "$pushed" ] || "$git" update-ref -d refs/foundry/pushed "$pushed" || true
  [ -z "$tracked" ] || "$git" update-ref -d "$tracking" "$tracked" || true
fi
