#!/bin/sh
# launcher [ARGUMENT ...]: sandbox-agent runs this file as an agent. It executes the command in the file beside it,
# which has the launcher's name plus `.words`: one word per line, a line break written as \n, a backslash as two.
given=$#
while IFS= read -r word; do
  word=$(printf '%bx' "$word") # the x keeps trailing line breaks
  set -- "$@" "${word%x}"
done <"$0.words"
while [ "$given" -gt 0 ]; do # move the arguments behind the words
  set -- "$@" "$1"
  shift
  given=$((given - 1))
done
exec "$@"
