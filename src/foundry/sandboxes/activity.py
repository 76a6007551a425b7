"""Checks for activity in a sandbox: measures the processor time that its processes use for some seconds.

Without namespaces a sandbox sees all processes of the machine; its own have the same `FOUNDRY_SANDBOX` in their
environment. A process that waits for the network uses no time, so an idle sandbox is a sign and not a proof.
"""

from __future__ import annotations

from foundry.sandboxes.processes import Processes

LOOK = 3  # seconds
IDLE = 5  # clock ticks (10 ms each) in that time that count as idle

# utime and stime are fields 14 and 15 of /proc/PID/stat, the 12th and 13th after the name's closing bracket
SCRIPT = f"""
ticks() {{
    sum=0
    for stat in /proc/[0-9]*/stat; do
        pid=${{stat#/proc/}}; pid=${{pid%/stat}}
        if [ "$pid" = "$$" ]; then continue; fi
        if [ -n "$FOUNDRY_SANDBOX" ] && ! grep -qzxF "FOUNDRY_SANDBOX=$FOUNDRY_SANDBOX" "/proc/$pid/environ" 2>/dev/null
        then continue; fi
        read -r line 2>/dev/null < "$stat" || continue
        set -- ${{line##*) }}
        sum=$((sum + ${{12}} + ${{13}}))
    done
    echo "$sum"
}}
before=$(ticks); sleep {LOOK}; after=$(ticks)
echo $((after - before))
"""


async def busy(processes: Processes) -> bool:
    """Return True if processes of this sandbox used the processor during the measurement.

    When a process exits meanwhile, the total drops; that counts as work too.
    """
    found = await processes.run("/bin/sh", ["-c", SCRIPT], timeout=LOOK + 20)
    try:
        used = int(found.stdout.strip())
    except ValueError:
        return True  # unknown: assume activity
    return not 0 <= used <= IDLE
