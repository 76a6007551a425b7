#!/bin/sh
# kill PID ...: send SIGKILL to all of them. One that has already exited is ignored.
kill -9 "$@" 2>/dev/null
