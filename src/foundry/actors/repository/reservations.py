"""Which branch names are free. Git keeps branches as files: `a` and `a/b` cannot both be there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from foundry.contracts.branch_names import BranchTaken
from foundry.runtime.columns import AnyRow

NAME_LIMIT = 200  # bytes, as in contracts.branch_names.branch_problem


def reserved(rows: Iterable[AnyRow]) -> dict[str, str]:
    """Which task holds which name, from Repository's rows; a task that is being renamed holds two."""
    held = list(rows)
    return {row.branch: row.task for row in held} | {row.renaming_to: row.task for row in held if row.renaming_to}


def refuse_taken(wanted: str, held: Mapping[str, str], remote: Iterable[str] = (), *, field: str = "branch") -> None:
    """Refuse a name that a person chose where something stands in its way.

    Args:
        held: tasks by the name they hold.
        remote: names that exist on GitHub.

    Raises:
        BranchTaken: it says which branch is in the way, and whose it is.
    """
    obstacle = taken_by(wanted, held.keys() | set(remote))
    if obstacle is not None:
        holder = f"is the branch of task {held[obstacle]}" if obstacle in held else "exists on GitHub"
        reason = "" if obstacle == wanted else f" and git keeps no branch {wanted!r} beside it"
        raise BranchTaken(f"{obstacle!r} {holder}{reason}", field=field)


def taken_by(name: str, taken: Set[str]) -> str | None:
    """The branch that stands in the way of this one: itself, one above it, or one below it; None if it is free."""
    if name in taken:
        return name
    above = next((parent for parent in _parents(name) if parent in taken), None)
    return above or next((other for other in sorted(taken) if other.startswith(f"{name}/")), None)


def free_branch(wanted: str, taken: Set[str]) -> str:
    """`wanted`, or it with the first suffix (-2, -3…) that nothing stands in the way of.

    Where a branch above is in the way (`a` for `a/b`) no suffix at the end helps, so its part gets one: `a-2/b`.
    """
    name = wanted
    while True:
        above = next((parent for parent in _parents(name) if parent in taken), None)
        if above is None:
            break
        name = _numbered(above, taken) + name[len(above) :]
    name = _cut(name, NAME_LIMIT)
    return name if taken_by(name, taken) is None else _numbered(name, taken, below=True)


def _numbered(name: str, taken: Set[str], *, below: bool = False) -> str:
    number = 2
    while True:
        suffix = f"-{number}"
        candidate = _cut(name, NAME_LIMIT - len(suffix)) + suffix
        if not (taken_by(candidate, taken) if below else candidate in taken):
            return candidate
        number += 1


def _cut(name: str, limit: int) -> str:
    """At most `limit` bytes of the name, never in the middle of a character or behind a dot or slash."""
    return name.encode()[:limit].decode(errors="ignore").rstrip("./") if len(name.encode()) > limit else name


def _parents(name: str) -> list[str]:
    """`a/b/c` -> a, a/b"""
    return [name[:at] for at, letter in enumerate(name) if letter == "/"]
