"""Renders fragments, from models to HTML. One fragment serves the page, its live replacement and the catch-up.

All functions are pure. Every fragment is one element with an id. An element that may be new to the page also has
`data-into` (the id of its container) and `data-order` (its place there), so that the page can insert it at any time,
repeatedly. A module has the fragments of one thing, and is used as `fragments.task.head(...)`.
"""

from foundry.web.fragments import checkpoints, issues, page, repository, sandbox, session, task, tasks, transcript

__all__ = ["checkpoints", "issues", "page", "repository", "sandbox", "session", "task", "tasks", "transcript"]
