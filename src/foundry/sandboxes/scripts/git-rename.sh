#!/bin/sh
# git-rename GIT OLD NEW: rename a branch, its upstream setting and its remote-tracking ref; those that are missing are
# skipped. Exits with 66 if another branch has the new name.
set -eu
git=$1 old=$2 new=$3
has() { "$git" show-ref --verify --quiet "refs/$1"; }
if has "heads/$old"; then
  ! has "heads/$new" || exit 66
  "$git" branch -m "$old" "$new"
fi
if [ "$("$git" config --get "branch.$new.merge" || true)" = "refs/heads/$old" ]; then
  "$git" config "branch.$new.merge" "refs/heads/$new"
fi
if has "remotes/origin/$old"; then
  commit=$("$git" rev-parse "refs/remotes/origin/$old")
  "$git" update-ref -d "refs/remotes/origin/$old"
  "$git" update-ref "refs/remotes/origin/$new" "$commit"
fi
