"""The watchdog: says what lasts longer than the table allows.

An actor names what stands with it at the end of a turn; that same turn schedules the next look, so the alarm is set
before anything outside is asked, never after. All decisions are pure functions of the table, the clock and the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from foundry.contracts.messages import utc
from foundry.contracts.overdue import Overdue
from foundry.contracts.time_limits import TABLE


@dataclass(frozen=True)
class Watchdog:
    """The table, with the limits that a setting changed.

    Args:
        limits: seconds by the name of a row.
    """

    limits: Mapping[str, float]

    def limit(self, what: str) -> timedelta:
        return timedelta(seconds=self.limits.get(what, TABLE[what].may_last))

    def look(self, began: Mapping[str, int], now: int) -> tuple[Overdue | None, timedelta | None]:
        """What is overdue, the longest first, and how long until the next look.

        Args:
            began: when each thing that stands began, in milliseconds; a key is a row's name, or that and a mark.
            now: milliseconds.
        """
        ends = {key: since + _millis(self.limit(_name(key))) for key, since in began.items()}
        late = min((key for key, end in ends.items() if end <= now), key=lambda key: began[key], default=None)
        later = min((end - now for end in ends.values() if end > now), default=None)
        overdue = None if late is None else self._overdue(late, began[late])
        return overdue, None if later is None else timedelta(milliseconds=later)

    def _overdue(self, key: str, since: int) -> Overdue:
        row = TABLE[_name(key)]
        return Overdue(
            what=_name(key), since=utc(since), reason=row.reason, remedy=row.remedy, actions=list(row.actions)
        )


WATCHDOG = Watchdog({})


def key(what: str, mark: object) -> str:
    return f"{what}|{mark}"


def _name(key: str) -> str:
    return key.partition("|")[0]


def _millis(time: timedelta) -> int:
    return int(time.total_seconds() * 1000)
