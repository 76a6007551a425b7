#!/bin/bash
# recorder SERVER FOLDER BLOCK BLOCKS HELD: record the stream of an agent's server, as sandboxes/recorder.py describes.
# FOLDER is relative to the home directory; BLOCK and HELD are bytes. Reads sandbox-agent's token from standard input.
export LC_ALL=C
umask 077
shopt -s nullglob
trap '' PIPE
server=$1 folder=$HOME/$2 block=$3 blocks=$4 held=$5
read -r -t 10 token || exit 1
mkdir -p "$folder" && cd "$folder" || exit 1
exec 9>lock
flock -n 9 || { echo recording; exit 0; }
port=$(tr '\0' '\n' </proc/$PPID/cmdline | sed -n '/^--port$/{n;p;}')

# the id of the last event that has started; its line may be the last one and incomplete
last_id() {
  local segments=([0-9]*-*) id
  ((${#segments[@]})) || { echo 0; return; }
  id=$(sed -n '$!s/^id: //p' "${segments[-1]}" | tail -n 1)
  echo "${id:-${segments[-1]#*-}}"
}

# remove the oldest segments, and name the next one
next_segment() {
  local segments=([0-9]*-*) number=0 total
  while ((${#segments[@]})); do
    # shellcheck disable=SC2207  # the first word is the number
    total=($(wc -c "${segments[@]}" | tail -n 1))
    ((total > held - block * blocks)) || break
    rm -f "${segments[0]}"
    segments=("${segments[@]:1}")
  done
  ((${#segments[@]})) && number=$((10#${segments[-1]%%-*}))
  printf -v segment '%08d-%d' $((number + 1)) "$1"
}

misses=0
while ((misses < 10)); do
  after=$(last_id)
  status=
  if { exec 3<>"/dev/tcp/127.0.0.1/${port:-2468}"; } 2>/dev/null; then
    printf 'GET /v1/acp/%s HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n' "$server" "$token" >&3
    printf 'Accept: text/event-stream\r\nLast-Event-ID: %d\r\n\r\n' $((after > 0 ? after - 1 : 0)) >&3
    read -r -t 10 _ status _ <&3
  fi
  case $status in
    200) ;;
    404) rm -f lock; rmdir "$folder" 2>/dev/null; exit 0 ;;
    *) misses=$((misses + 1)); sleep 1; continue ;;
  esac
  while read -r header <&3 && [ "$header" != $'\r' ]; do :; done
  echo recording
  misses=0
  begin='\n\n'
  while :; do
    next_segment "$(last_id)"
    printf '%b' "$begin" >"$segment" || exit 1
    # dd writes what it has read at once, and counts reads, short ones too; "3+7 records in" is how many
    took=$(exec 9>&-; dd bs="$block" count="$blocks" <&3 2>&1 >>"$segment" | sed -n 's/ records in$//p')
    ((took == blocks)) || break
    begin=
  done
  exec 3>&-
  sleep 0.1
done
echo 'sandbox-agent does not answer' >&2
exit 1
