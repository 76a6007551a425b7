#!/bin/sh
# processes: print each process's line of /proc/PID/stat. Then print, one per line: the seconds since boot, the Unix
# time in milliseconds, the clock ticks per second, and the pids of this shell's parent and of this shell.
cat /proc/[0-9]*/stat 2>/dev/null
cat /proc/uptime
date +%s%3N
getconf CLK_TCK
echo $PPID $$
