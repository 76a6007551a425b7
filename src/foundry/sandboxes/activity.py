"""Whether anything in a sandbox works: the processor time that its processes use while somebody looks.

Without namespaces a sandbox sees the whole machine's processes; its own have the same `FOUNDRY_SANDBOX` in their
environment. What waits for the network uses no time, so an idle sandbox is a sign and not a proof.
"""

from __future__ import annotations

from foundry.sandboxes.processes import Processes

LOOK = 3  # seconds
IDLE = 5  # clock ticks (of 10 ms) within them that count as nothing

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
    """Whether processes of this sandbox used the processor while this looked.

    Processes that ended meanwhile take their time with them; that counts as work too.
    """
    found = await processes.run("/bin/sh", ["-c", SCRIPT], timeout=LOOK + 20)
    try:
        used = int(found.stdout.strip())
    except ValueError:
        return True  # unknown: nothing is concluded from it
    return not 0 <= used <= IDLE
