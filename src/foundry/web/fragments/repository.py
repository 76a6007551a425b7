"""A repository's history."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from foundry.contracts.history import HistoryView
from foundry.web.templating import template


def history(entries: Sequence[HistoryView]) -> Markup:
    return template("fragments/history.html", entries=entries)
