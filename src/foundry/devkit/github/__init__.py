"""A stand-in for GitHub: REST, OAuth, git over HTTP, signed webhooks, and pages with a merge button.

The parts that Foundry uses behave as GitHub's documentation says (status codes, bodies, pagination, ETags, rate limit
headers), so the production client needs only another base URL. The stand-in keeps all data in one directory and
survives being killed. Tests control it under `/_devkit/` (control.py lists the routes).
"""

from foundry.devkit.github.app import create_github
from foundry.devkit.github.running import GitHubAt, RunningGitHub, running_github

__all__ = ["GitHubAt", "RunningGitHub", "create_github", "running_github"]
