"""A session's history in `$HOME/.scripted-agent/<session>.jsonl`, for `session/load` and for tests that compare it.

A line is `{"cwd": …}`, `{"prompt": …}`, `{"update": …}` (the ACP update as sent), `{"asked": …}`, `{"answered": …}` or
`{"stopped": …}`. The agent writes a line before it sends the message, so a crash never leaves a sent message out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def folder() -> Path:
    return Path.home() / ".scripted-agent"


class Memory:
    def __init__(self, session: str) -> None:
        self.path = folder() / f"{session}.jsonl"

    def exists(self) -> bool:
        return self.path.exists()

    def write(self, kind: str, value: Any) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({kind: value}, ensure_ascii=False) + "\n")

    def read(self) -> Iterator[tuple[str, Any]]:
        with self.path.open(encoding="utf-8") as file:
            for line in file:
                yield from json.loads(line).items()
