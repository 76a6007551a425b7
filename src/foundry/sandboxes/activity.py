"""Checks for activity in a sandbox: measures the processor time that its processes use for some seconds.

Without namespaces a sandbox sees all processes of the machine; its own have the same `FOUNDRY_SANDBOX` in their
environment. A process that waits for the network uses no time, so an idle sandbox is a sign and not a proof.
"""

from __future__ import annotations

from foundry.sandboxes.processes import Processes
from foundry.sandboxes.scripts import script

LOOK = 3  # seconds
IDLE = 5  # clock ticks (10 ms each) in that time that count as idle

BUSY = script("busy")


async def busy(processes: Processes) -> bool:
    """Return True if processes of this sandbox used the processor during the measurement.

    When a process exits meanwhile, the total drops; that counts as work too.
    """
    found = await processes.run("/bin/sh", ["-c", BUSY, "busy", str(LOOK)], timeout=LOOK + 20)
    try:
        used = int(found.stdout.strip())
    except ValueError:
        return True  # unknown: assume activity
    return not 0 <= used <= IDLE
