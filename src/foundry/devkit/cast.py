"""The sample people, organizations and repositories of the stand-in GitHub.

The repositories are small but real: each has tests that run with plain `python3`, and something that an agent can
improve.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent


@dataclass(frozen=True)
class SamplePerson:
    id: int
    login: str
    name: str


@dataclass(frozen=True)
class SampleOrganization:
    id: int
    login: str
    name: str
    members: dict[str, str] = field(default_factory=dict[str, str])  # login -> admin or member
    installation: int | None = None
    base: str = "none"  # base permission: what every member may do in every repository


@dataclass(frozen=True)
class SampleRepository:
    id: int
    owner: str
    name: str
    description: str
    private: bool
    files: dict[str, str]
    access: dict[str, str] = field(default_factory=dict[str, str])  # login -> read, write, admin


def _text(content: str) -> str:
    return dedent(content).lstrip("\n")


PEOPLE = (
    SamplePerson(1001, "ada", "Ada Byron"),
    SamplePerson(1002, "grace", "Grace Murray"),
    SamplePerson(1003, "linus", "Linus Berg"),
    SamplePerson(1004, "margaret", "Margaret Heafield"),
)

ORGANIZATIONS = (
    SampleOrganization(
        2001, "lumen-works", "Lumen Works", {"ada": "admin", "grace": "member", "linus": "member"}, installation=3001
    ),
    SampleOrganization(2002, "north-harbor", "North Harbor", {"margaret": "admin", "ada": "member"}, installation=3002),
)

TALLY = {
    "README.md": _text(
        """
        # tally

        Statistics of a column of numbers, one a line.

            printf '3\\n1\\n2\\n' | python3 -m tally

        Run the tests with `python3 -m unittest`.
        """
    ),
    "tally/__init__.py": _text(
        '''
        """Statistics of a column of numbers."""

        from tally.stats import mean, total

        __all__ = ["mean", "total"]
        '''
    ),
    "tally/stats.py": _text(
        '''
        """The statistics themselves."""

        from __future__ import annotations

        from collections.abc import Sequence


        def total(numbers: Sequence[float]) -> float:
            """The sum; 0 for no numbers."""
            return sum(numbers)


        def mean(numbers: Sequence[float]) -> float:
            """The arithmetic mean.

            Raises:
                ValueError: there are no numbers.
            """
            if not numbers:
                raise ValueError("the mean of no numbers is not defined")
            return total(numbers) / len(numbers)
        '''
    ),
    "tally/__main__.py": _text(
        '''
        """Read numbers from standard input, one a line, and print their statistics."""

        from __future__ import annotations

        import sys

        from tally import mean, total


        def main() -> int:
            numbers = [float(line) for line in sys.stdin if line.strip()]
            print(f"count {len(numbers)}")
            print(f"total {total(numbers):g}")
            if numbers:
                print(f"mean  {mean(numbers):g}")
            return 0


        if __name__ == "__main__":
            raise SystemExit(main())
        '''
    ),
    "tests/__init__.py": "",
    "tests/test_stats.py": _text(
        """
        import unittest

        from tally import mean, total


        class Stats(unittest.TestCase):
            def test_total(self) -> None:
                self.assertEqual(total([1, 2, 3]), 6)
                self.assertEqual(total([]), 0)

            def test_mean(self) -> None:
                self.assertEqual(mean([1, 2, 3]), 2)
                with self.assertRaises(ValueError):
                    mean([])


        if __name__ == "__main__":
            unittest.main()
        """
    ),
}

TIDEBOARD = {
    "README.md": "# tideboard\n\nA page that shows the next tides. Run the tests with `python3 -m unittest`.\n",
    "index.html": _text(
        """
        <!doctype html>
        <html lang="en">
          <head>
            <meta charset="utf-8">
            <title>Tides</title>
            <link rel="stylesheet" href="style.css">
          </head>
          <body>
            <h1>Tides at North Harbor</h1>
            <table>
              <tr><th>Tide</th><th>Time</th></tr>
              <tr><td>High</td><td>06:12</td></tr>
              <tr><td>Low</td><td>12:31</td></tr>
            </table>
          </body>
        </html>
        """
    ),
    "style.css": "body { font-family: sans-serif; margin: 2rem; }\ntd, th { padding: 0.3rem 1rem; }\n",
    "tests/__init__.py": "",
    "tests/test_page.py": _text(
        """
        import unittest
        from html.parser import HTMLParser
        from pathlib import Path

        PAGE = Path(__file__).parent.parent / "index.html"


        class Outline(HTMLParser):
            def __init__(self) -> None:
                super().__init__()
                self.tags: list[str] = []

            def handle_starttag(self, tag: str, attrs: object) -> None:
                self.tags.append(tag)


        class Page(unittest.TestCase):
            def test_it_has_a_title_and_a_table(self) -> None:
                outline = Outline()
                outline.feed(PAGE.read_text())
                self.assertIn("title", outline.tags)
                self.assertEqual(outline.tags.count("tr"), 3)


        if __name__ == "__main__":
            unittest.main()
        """
    ),
}

REPOSITORIES = (
    SampleRepository(
        4001, "lumen-works", "tally", "Statistics of a column of numbers", True, TALLY,
        {"ada": "admin", "grace": "write", "linus": "read"},
    ),
    SampleRepository(
        4002, "north-harbor", "tideboard", "The next tides, on a page", False, TIDEBOARD,
        {"margaret": "admin", "ada": "write"},
    ),
)  # fmt: skip

PERMISSIONS = {
    "contents": "write",
    "pull_requests": "write",
    "issues": "write",
    "metadata": "read",
    "members": "read",
    "checks": "read",
    "statuses": "read",
    "actions": "read",
    "workflows": "write",
}
"""The permissions that the sample App requests."""


@dataclass(frozen=True)
class Statistic:
    """A function to add to `tally`, for a task of the demo."""

    name: str
    says: str
    body: str
    test: str


STATISTICS = (
    Statistic(
        "median",
        "The middle value; the mean of the two middle ones for an even count.",
        """
        ordered, half = sorted(numbers), len(numbers) // 2
        return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
        """,
        "self.assertEqual(median([4, 1, 2, 3]), 2.5)",
    ),
    Statistic(
        "spread",
        "The largest less the smallest.",
        "return max(numbers) - min(numbers)",
        "self.assertEqual(spread([3, 9, 4]), 6)",
    ),
    Statistic(
        "variance",
        "The mean of the squared distances from the mean.",
        "return mean([(number - mean(numbers)) ** 2 for number in numbers])",
        "self.assertEqual(variance([1, 3]), 1)",
    ),
    Statistic(
        "midrange",
        "Half-way between the smallest and the largest.",
        "return (max(numbers) + min(numbers)) / 2",
        "self.assertEqual(midrange([3, 9, 4]), 6)",
    ),
)


def demo_prompt(number: int) -> str:
    """Return the prompt of the demo's task `number` (from 0): the scripted agent adds a statistic and its test."""
    chosen, again = STATISTICS[number % len(STATISTICS)], number // len(STATISTICS)
    name = chosen.name + (f"_{again + 1}" if again else "")
    body = "\n".join("    " + line for line in dedent(chosen.body).strip().splitlines())
    test = chosen.test.replace(f"{chosen.name}(", f"{name}(")
    return f"""Add {name} to the statistics, with a test.

```script
say I will add `{name}` to the statistics, and a test for it.
plan [>] Write {name} | Test it | Commit
read tally/stats.py
append tally/stats.py <<EOF


def {name}(numbers: Sequence[float]) -> float:
    \"\"\"{chosen.says}

    Raises:
        ValueError: there are no numbers.
    \"\"\"
    if not numbers:
        raise ValueError("the {name} of no numbers is not defined")
{body}
EOF
edit tests/test_{name}.py <<EOF
import unittest

from tally.stats import {name}


class {name.title().replace("_", "")}(unittest.TestCase):
    def test_{name}(self) -> None:
        {test}
        with self.assertRaises(ValueError):
            {name}([])
EOF
plan [x] Write {name} | [>] Test it | Commit
test
ask Commit the change?
commit Add {name}
plan [x] Write {name} | [x] Test it | [x] Commit
say Done: `{name}` is written, tested and committed.
```
"""
