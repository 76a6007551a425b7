"""Parses a unified diff into files and lines for display. Lines it cannot parse are shown unchanged, never left out."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import Literal

LineKind = Literal["add", "del", "same", "hunk", "meta"]

_HUNK = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")
_FILE = re.compile(r'^diff --git "?a/(.+?)"? "?b/(.+?)"?$')


@dataclass(frozen=True, slots=True)
class Line:
    kind: LineKind
    text: str
    old: int | None = None  # line number before
    new: int | None = None  # line number after


@dataclass(slots=True)
class FileDiff:
    """The changes in one file."""

    path: str
    note: str = ""  # new, deleted, renamed from ..., binary
    lines: list[Line] = field(default_factory=list[Line])

    @property
    def added(self) -> int:
        return sum(line.kind == "add" for line in self.lines)

    @property
    def removed(self) -> int:
        return sum(line.kind == "del" for line in self.lines)


def files(diff: str) -> list[FileDiff]:
    """Parse the output of `git diff` into files, in its order."""
    found: list[FileDiff] = []
    old = new = 0
    inside = False  # True inside a hunk, where `---` and `+++` are text
    for raw in diff.split("\n"):
        start = _FILE.match(raw)
        if start and not (inside and raw[:1] in " +-"):
            found.append(FileDiff(start.group(2)))
            inside = False
            continue
        if not found:
            if not raw:
                continue
            found.append(FileDiff(""))
        file, hunk = found[-1], _HUNK.match(raw)
        if hunk:
            inside, old, new = True, int(hunk.group(1)), int(hunk.group(2))
            file.lines.append(Line("hunk", raw))
        elif not inside:
            _head(file, raw)
        elif raw.startswith("+"):
            file.lines.append(Line("add", raw[1:], None, new))
            new += 1
        elif raw.startswith("-"):
            file.lines.append(Line("del", raw[1:], old, None))
            old += 1
        elif raw.startswith(" "):
            file.lines.append(Line("same", raw[1:], old, new))
            old, new = old + 1, new + 1
        elif raw:
            file.lines.append(Line("meta", raw))
    return found


def _head(file: FileDiff, raw: str) -> None:
    """Parse a line between a file's name and its first hunk."""
    if raw.startswith("new file"):
        file.note = "new"
    elif raw.startswith("deleted file"):
        file.note = "deleted"
    elif raw.startswith("rename from "):
        file.note = f"renamed from {raw.removeprefix('rename from ')}"
    elif raw.startswith("Binary files"):
        file.note = "binary"
    elif raw.startswith("+++ ") and not file.path:
        file.path = raw[4:].removeprefix("b/")
    elif raw and not raw.startswith(("index ", "---", "+++", "similarity", "rename to", "old mode", "new mode")):
        file.lines.append(Line("meta", raw))


def between(path: str, old: str | None, new: str) -> FileDiff:
    """Return a tool call's changes in one file, from the whole text before and after."""
    before, after = (old or "").splitlines(), new.splitlines()
    text = "\n".join(difflib.unified_diff(before, after, lineterm="", n=3))
    read = files(f"diff --git a/x b/x\n{text}")
    return FileDiff(path, "new" if old is None else "", read[0].lines)
