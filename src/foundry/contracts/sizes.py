"""Sizes as people read them."""

from __future__ import annotations

UNITS = ("KB", "MB", "GB", "TB")


def human(size: int) -> str:
    """Bytes in a few characters, in powers of 1,000 as disks are sold: `812 bytes`, `4.2 KB`, `120 MB`."""
    if size < 1000:
        return "1 byte" if size == 1 else f"{size} bytes"
    value, power = size / 1000, 0
    while value >= 999.5 and power < len(UNITS) - 1:
        value, power = value / 1000, power + 1
    return f"{value:.1f} {UNITS[power]}" if value < 9.95 else f"{value:.0f} {UNITS[power]}"
