#!/bin/sh
# git-restore GIT BUNDLE BRANCH SAVED_BRANCH HEAD WORK BASE BASE_BRANCH keep|no [PATH ...]: restore what git-save wrote,
# from the parts BUNDLE.part-*. Each PATH stays in the work tree. With `keep`, branch and files are left alone if the
# remote has newer commits than HEAD. Prints NAME=VALUE lines. Exits with 65 if the bundle's base commit is missing.
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
  printf 'newer=%s\n' "$remote"  # GitHub has newer commits: uncommitted changes may not apply to them
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
