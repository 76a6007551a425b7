"""Pace: how often a process polls for what no notice reported, and how long a silent process counts as alive."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """All in seconds. Tests slow one of them to show that something else does the work."""

    sweep: float = 1.0  # between looks for messages that are due and, on several replicas, for events
    coalesce: float = 0.01  # what is committed within it is told to the other replicas at once
    look: float = 2.0  # between looks for actors that want a worker
    term: float = 10.0  # a lease without renewal, a replica without a heartbeat
    renew: float = 3.0  # between renewals and heartbeats
    cut_off: float = 30.0  # that a step of a cancelled workflow may go on, until it is cut off
    overdue: float = 60.0  # that a message or a schedule may wait beyond its time, until that is an issue
