"""The doors to the outside, as workflow steps and workers see them. The composition root hands them over."""

from __future__ import annotations

from typing import Protocol


class Doors(Protocol):
    """One attribute per outside."""
