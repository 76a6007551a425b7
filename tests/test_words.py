"""Texts that people read use the words of the vocabulary: the banned phrases stay at zero.

`BANNED` has each phrase as a regex, with the better word beside it. Code (in backticks, fenced or indented) does not
count: names of fields, files and commands change in renames, not here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from foundry.cli import app
from foundry.contracts.time_limits import TABLE
from foundry.settings import Settings
from tests.test_docs import every_error_code

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "src" / "foundry" / "web" / "templates"

BANNED = [
    # archaisms
    (r"\banew\b", "again"),
    (r"\bby (it|them)sel(f|ves)\b", "automatically"),
    (r"(?<!there )\b(is|are|was|were) no (?!longer\b|more\b|other\b)", "is not a"),
    (r"\bwho compares\b", "name the component, for example: the polling worker"),
    (r"\bmay not (be known|know)\b", "resources you may not see"),
    (r"(?<!all )(?<!part )(?<!rest )\bof it\b", "name the thing"),
    (r"\bbeing got\b", "is being fetched"),
    (r"\b(come|came|comes|have come) to (rest|be)\b", "become idle; happen"),
    (r"\bbegun\b|\bbegins? again\b", "started; starts again"),
    (r"\bwhom ever\b|\bwhosoever\b|\bwhereupon\b|\bthereof\b|\btherein\b", "name the thing"),
    (r"\bis the \w+ of no\b", "is not a"),
    (r"\bis none of\b", "is not one of"),
    # metaphors
    (r"\bthe (plan of the )?house\b|\bthe house's\b", "how the code is organised"),
    (r"\b(own|its|git's|github's|npm's|further|few|last) words\b", "message"),
    (r"\btold\b", "reported, sent"),
    (r"\b(hear|hears|heard) of\b", "is notified of"),
    (r"\bgiv(e|es|en|ing) (the sandbox )?back\b", "release, remove"),
    # one idea, one word
    (r"\btroubles?\b|\bstuck in\b", "failure"),
    (r"\bissue book\b|\bstanding issue\b", "runtime issue"),
    (r"\bmay last\b", "overdue, time limit"),
    (r"\bfollow(s|ed|ing)? (the|its|an|a|one) ([\w']+ )?(stream|topic|branch)\b", "read, subscribe to, sync"),
    (r"\bsight\b", "subscription"),
    (r"\b(it|sandbox(es)?|that) rests?\b|\bresting\b|\blet (it|a sandbox|sandboxes) rest\b|\brests until\b", "stopped"),
    (r"\bsandbox(es)? ((that )?(is|was|are|were) )kept\b|\bit was kept\b|\bspared\b", "retained"),
    (r"\bstrays?\b|\bsandbox(es)? (that )?nobody uses are\b", "orphan"),
    (r"\bstir(s|red|ring)?\b", "lock the work tree"),
    (r"\brebuil(d|ds|t|ding)\b", "recovery"),
    # the fifteen texts that the vocabulary quotes
    (r"\ba look into\b", "polling"),
    (r"\bby the ways on\b", "using the recovery actions"),
    (r"\bwhere not as usual\b", "override time limits per state"),
    (r"\babout nothing it watches\b", "unknown state"),
    (r"\bhave not come\b", "takes too long"),
    (r"\bis nowhere else\b", "is saved nowhere else"),
    (r"\bcould not be read here\b", "are missing here"),
    (r"\bwhatever the agent does\b", "stop the agent at once"),
    (r"\bnothing happens by\b", "will not retry automatically"),
]

NOW = [
    "what may not be known is answered with 404",
    "A look into a long mailbox was quadratic",
    "has to come to rest by the ways on that Foundry offers",
    "the plan of the house",
    "what may last how many seconds (docs/states.md), where not as usual",
    "watchdog: X: 5 is about nothing it watches",
    "the file has X, which is no setting",
    "GitHub's commits have not come. Retry begins again.",
    "Let it rest",
    "Rests until the next message",
    "It was kept although its task has ended: its work is nowhere else.",
    "2 events of the agent could not be read here; its own history has no further words of it.",
    "'7x' is the id of no event",
    "the sign-in was not begun here",
    "End everything of it now, whatever the agent does; its work is saved all the same.",
    "Attempt 1 · nothing happens by itself",
]


def found(text: str) -> list[str]:
    """Return each banned phrase in the text, with the better word."""
    plain = re.sub(r"\s+", " ", text)
    hits = [(hit, better) for banned, better in BANNED for hit in re.finditer(banned, plain, re.IGNORECASE)]
    return [f"…{plain[max(0, hit.start() - 30) : hit.end() + 20]}… -> {better}" for hit, better in hits]


def prose(markdown: str) -> str:
    """Return a document without its code."""
    without = re.sub(r"^```.*?^```", "", markdown, flags=re.MULTILINE | re.DOTALL)
    without = re.sub(r"^ {4}.*$", "", without, flags=re.MULTILINE)
    return re.sub(r"`[^`\n]+`", "", without)


def shown(template: str) -> str:
    """Return a template's text: what stands between its tags, its comments, its attributes and its strings."""

    def strings(code: re.Match[str]) -> str:
        literals = re.findall(r'"([^"]*)"|\'([^\']*)\'', code[0])
        return " ".join(one for pair in literals for one in pair if re.match(r"[A-Z]|.*\w \w", one))

    text = re.sub(r"\{[{%].*?[%}]\}", strings, template, flags=re.DOTALL)
    read = " ".join(re.findall(r'(?:title|placeholder|aria-label|hx-confirm|data-empty)="([^"]*)"', text))
    return re.sub(r"<[^>]*>", " ", text) + " " + read


DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    ROOT.glob("docs/**/*.md")
)


@pytest.mark.parametrize("sentence", NOW)
def test_the_list_finds_each_of_the_old_texts(sentence: str) -> None:
    assert found(sentence)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_has_no_banned_phrase(path: Path) -> None:
    assert found(prose(path.read_text())) == []


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_a_template_has_no_banned_phrase(path: Path) -> None:
    assert found(shown(path.read_text())) == []


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_a_setting_has_no_banned_phrase(name: str) -> None:
    assert found(Settings.model_fields[name].description or "") == []


def commands(group: TyperGroup, *names: str) -> Iterator[tuple[str, ...]]:
    yield names
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, *names, name)
        else:
            yield (*names, name)


def every_command() -> list[tuple[str, ...]]:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    return list(commands(root))


@pytest.mark.parametrize("names", every_command(), ids=lambda names: " ".join(("foundry", *names)))
def test_the_help_of_a_command_has_no_banned_phrase(names: tuple[str, ...]) -> None:
    page = CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert page.exit_code == 0, page.output
    assert found(re.sub(r"[│╭╮╰╯─]", " ", page.output)) == []


@pytest.mark.parametrize("code", sorted(every_error_code()))
def test_an_error_has_no_banned_phrase(code: str) -> None:
    kind = every_error_code()[code]
    assert found(f"{inspect.getdoc(kind)} {kind.remedy}") == []


@pytest.mark.parametrize("what", sorted(TABLE))
def test_an_overdue_state_has_no_banned_phrase(what: str) -> None:
    assert found(f"{TABLE[what].reason} {TABLE[what].remedy}") == []


OLD_NAMES = re.compile(r"trouble|(?<![a-z])stray|(?<![a-z])resting|IssueKind\.LATE|SandboxState\.KEPT", re.IGNORECASE)
STORED = (  # lines and files that hold the names of a release before
    re.compile(r"contracts/stored_names\.py$|store/migrations/versions/|store/releases\.py$"),
    re.compile(r'^\s*Column\("\w+", \w+, key="\w+"|^STORED = |"app_strays"'),
)


def test_the_code_has_no_old_names() -> None:
    """Names of fields, classes and functions are the vocabulary's; what is stored has them in one table."""
    files = [path for path in (ROOT / "src").rglob("*") if path.suffix in (".py", ".html", ".css", ".js")]
    own = [path for path in files if not STORED[0].search(path.as_posix()) and "vendor" not in path.parts]
    lines = [(path, line) for path in own for line in path.read_text().splitlines() if OLD_NAMES.search(line)]
    assert [(path.name, line) for path, line in lines if not STORED[1].search(line)] == []
