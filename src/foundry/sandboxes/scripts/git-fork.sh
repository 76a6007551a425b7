#!/bin/sh
# git-fork GIT BASE: record where the branch leaves its base, which may have been merged into it, or rebased upon.
git=$1 base=$2
fork=$("$git" merge-base HEAD "refs/remotes/origin/$base" 2>/dev/null) || exit 0
[ "$("$git" rev-parse refs/foundry/base)" = "$fork" ] || "$git" update-ref refs/foundry/base "$fork"
