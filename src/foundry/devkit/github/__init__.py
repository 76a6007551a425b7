"""A stand-in for GitHub: REST, OAuth, git over HTTP, signed webhooks, and pages with a merge button.

What Foundry uses behaves as GitHub's documentation says (status codes, bodies, pagination, ETags, rate-limit
headers), so that the production client talks to it unchanged, by base URL alone. It keeps everything in one
directory and survives being killed. Control for tests is under `/_devkit/` (control.py lists it).
"""

from foundry.devkit.github.app import create_github
from foundry.devkit.github.running import GitHubAt, RunningGitHub, running_github

__all__ = ["GitHubAt", "RunningGitHub", "create_github", "running_github"]
