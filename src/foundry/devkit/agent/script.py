"""The script language, one command per line:

    say TEXT                 text, streamed in chunks          think TEXT        a thought
    plan A | [>] B | [x] C   a plan; [>] in progress, [x] done
    read PATH                a tool call that reads a file
    edit PATH <<EOF … EOF    write a file                      append PATH TEXT  add a line to a file
    replace PATH OLD => NEW  the first occurrence, which must exist
    run COMMAND              in a shell in the repository, its output streamed as a tool call
    test                     run the repository's tests, like `run`
    commit MESSAGE           commit everything, with the identity that git finds
    ask TITLE                session/request_permission; a reject skips the next command
    sleep SECONDS            pace MILLISECONDS                 between streamed chunks
    stream N [DELAY_MS] [SIZE]   N chunks, numbered `[1]`, `[2]`, … and padded to SIZE characters
    fail MESSAGE             answer the prompt with a JSON-RPC error
    stop REASON              end the turn now: end_turn, max_tokens, max_turn_requests, refusal
    silent                   from here on never answer the prompt (a cancel still works)
    hang                     never answer, and ignore cancel   crash             exit at once

A prompt's script is a block fenced with ```script. Other text is ignored, and so are earlier blocks: they quote earlier
messages to an agent that does not know them. Any text may span several lines as `<<WORD … WORD`. A prompt without a
script gets a simple one made from its text (`default_script`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_VERBS = """
say think plan read edit append replace run test commit ask sleep pace stream fail stop silent hang crash
"""
VERBS = frozenset(_VERBS.split())
STOP_REASONS = frozenset({"end_turn", "max_tokens", "max_turn_requests", "refusal"})

_BLOCK = re.compile(r"^```script[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
_HEREDOC = re.compile(r"^(.*?)\s*<<(\w+)$")


@dataclass(frozen=True)
class Line:
    """One command. `text` is the rest of the line after the verb; `body` is the heredoc's content."""

    verb: str
    text: str = ""
    body: str | None = None

    @property
    def words(self) -> str:
        """The command's text: the heredoc if there is one, else the rest of the line."""
        return self.text if self.body is None else self.body


class BadScript(Exception):
    """The script has an invalid line."""


def script_of(prompt: str, repository: Path) -> list[Line]:
    """Return the prompt's own script, or the default script."""
    blocks = _BLOCK.findall(prompt)
    return parse(blocks[-1]) if blocks else default_script(prompt, repository)


def parse(source: str) -> list[Line]:
    lines = iter(source.splitlines())
    script: list[Line] = []
    for line in lines:
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        verb, _, text = line.partition(" ")
        text = text.strip()
        if verb not in VERBS:
            raise BadScript(f"unknown command {verb!r}")
        if verb == "stop" and text not in STOP_REASONS:
            raise BadScript(f"stop needs one of {', '.join(sorted(STOP_REASONS))}")
        heredoc = _HEREDOC.match(text)
        if heredoc is None:
            script.append(Line(verb, text))
            continue
        body: list[str] = []
        for inner in lines:
            if inner.strip() == heredoc[2]:
                break
            body.append(inner + "\n")
        else:
            raise BadScript(f"no {heredoc[2]} ends the text of {verb!r}")
        script.append(Line(verb, heredoc[1], "".join(body)))
    return script


def default_script(prompt: str, repository: Path) -> list[Line]:
    """Return a script that reads, makes one small real change named after the prompt, tests and commits."""
    wish = " ".join(prompt.split())[:120] or "Look around"
    target = "README.md" if (repository / "README.md").exists() else "NOTES.md"
    steps = ["Look at the repository", f"Change {target}", "Run the tests", "Commit"]

    def plan(done: int) -> Line:
        marks = ["[x] " if at < done else "[>] " if at == done else "" for at in range(len(steps))]
        return Line("plan", " | ".join(mark + step for mark, step in zip(marks, steps, strict=True)))

    script = [Line("think", f"The wish is: {wish}"), Line("say", "I will look at the repository first."), plan(0)]
    script += [Line("run", "git log --oneline -5 && ls")]
    if target == "README.md":
        script += [Line("read", target)]
    script += [plan(1), Line("append", f"{target} - {wish}"), plan(2), Line("test"), plan(3)]
    if "permission" in prompt.lower():
        script += [Line("ask", "Commit the change")]
    script += [Line("commit", wish[:72]), plan(4), Line("say", f"Done: {target} now mentions “{wish}”.")]
    return script
