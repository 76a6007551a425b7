#!/bin/sh
# git-fork GIT BASE: store where the branch leaves its base. A merge of the base, or a rebase on it, changes that.
git=$1 base=$2
fork=$("$git" merge-base HEAD "refs/remotes/origin/$base" 2>/dev/null) || exit 0
[ "$("$git" rev-parse refs/foundry/base)" = "$fork" ] || "$git" update-ref refs/foundry/base "$fork"
