"""Whether anything in a sandbox works: the processor time that its processes use while somebody looks.

Without namespaces a sandbox sees the whole machine's processes; its own have the same `FOUNDRY_SANDBOX` in their
environment. What waits for the network uses no time, so an idle sandbox is a sign and not a proof.
"""

from __future__ import annotations

from foundry.sandboxes.processes import Processes
from foundry.sandboxes.scripts import script

LOOK = 3  # seconds
IDLE = 5  # clock ticks (of 10 ms) within them that count as nothing

BUSY = script("busy")


async def busy(processes: Processes) -> bool:
    """Whether processes of this sandbox used the processor while this looked.

    Processes that ended meanwhile take their time with them; that counts as work too.
    """
    found = await processes.run("/bin/sh", ["-c", BUSY, "busy", str(LOOK)], timeout=LOOK + 20)
    try:
        used = int(found.stdout.strip())
    except ValueError:
        return True  # unknown: nothing is concluded from it
    return not 0 <= used <= IDLE
