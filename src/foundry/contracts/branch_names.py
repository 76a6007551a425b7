"""Branch names: which git takes, the refusal of one that is taken, and one made from a title."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

from foundry.contracts.errors import FoundryError


class BranchTaken(FoundryError, code="branch_taken", status=409):
    """Another task has this branch, or the branch exists on GitHub."""

    remedy = "Choose another name, or open the task that has the branch."


_BAD_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/.]|[/.]$|\.lock(/|$)|/\.|^@$")


def branch_problem(name: str) -> str | None:
    """Why git would refuse this branch name (git check-ref-format); None if it would not."""
    if not name:
        return "a branch name is not empty"
    if len(name.encode()) > 200:
        return "a branch name has at most 200 bytes"
    found = _BAD_REF.search(name)
    if found:
        return f"git does not allow {found.group(0)!r} there in a branch name"
    return None


def _branch(name: str) -> str:
    problem = branch_problem(name)
    if problem:
        raise ValueError(problem)
    return name


BranchName = Annotated[str, AfterValidator(_branch)]

SLUG = 40  # characters of a branch made from a title


def branch_from(title: str) -> str:
    """A branch name made from a title: `foundry/` and a slug that git takes."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    if len(slug) > SLUG:
        slug = slug[:SLUG].rsplit("-", 1)[0]
    return f"foundry/{slug or 'task'}"
