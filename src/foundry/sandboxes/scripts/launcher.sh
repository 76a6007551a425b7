#!/bin/sh
# launcher [ARGUMENT ...]: stands where sandbox-agent expects an agent, and becomes the command whose words are the
# lines of the file beside it, which has the launcher's name and `.words`. There a line break is written \n, and a
# backslash twice.
given=$#
while IFS= read -r word; do
  word=$(printf '%bx' "$word") # the x keeps line breaks at the end
  set -- "$@" "${word%x}"
done <"$0.words"
while [ "$given" -gt 0 ]; do # the arguments go behind the words
  set -- "$@" "$1"
  shift
  given=$((given - 1))
done
exec "$@"
