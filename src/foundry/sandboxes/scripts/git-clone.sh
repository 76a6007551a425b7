#!/bin/sh
# git-clone GIT PATH URL BRANCH BASE NAME EMAIL: clone, then create the branch from its base, or check it out if the
# remote has it. The clone gets its final name when it is complete; an existing clone is left alone. Prints the head.
# Exits with 64 if the remote has no such base.
set -eu
git=$1 path=$2 url=$3 branch=$4 base=$5 name=$6 email=$7
if [ ! -d "$path/.git" ]; then
  rm -rf "$path.partial"
  "$git" clone --quiet "$url" "$path.partial"
  cd "$path.partial"
  if "$git" show-ref --verify --quiet "refs/remotes/origin/$branch"; then
    "$git" checkout --quiet -B "$branch" "origin/$branch"
    "$git" update-ref refs/foundry/pushed "origin/$branch"
  else
    "$git" show-ref --verify --quiet "refs/remotes/origin/$base" || exit 64
    "$git" checkout --quiet --no-track -b "$branch" "origin/$base"
  fi
  "$git" update-ref refs/foundry/base "$("$git" merge-base HEAD "origin/$base")"
  "$git" config user.name "$name"
  "$git" config user.email "$email"
  cd ..
  mv "$path.partial" "$path"
fi
"$git" -C "$path" rev-parse HEAD
