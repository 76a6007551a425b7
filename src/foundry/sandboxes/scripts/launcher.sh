#!/bin/sh
# launcher [ARGUMENT ...]: sandbox-agent runs it as an agent. It executes the command in the file `.words` next to it,
# which has the launcher's name as a prefix. Each line of that file is a word of the command. A line break in a word is
# written as \n, and a backslash twice.
given=$#
while IFS= read -r word; do
  word=$(printf '%bx' "$word") # the x keeps line breaks at the end
  set -- "$@" "${word%x}"
done <"$0.words"
while [ "$given" -gt 0 ]; do # move the arguments behind the words
  set -- "$@" "$1"
  shift
  given=$((given - 1))
done
exec "$@"
