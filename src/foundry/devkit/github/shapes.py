"""The JSON shapes of GitHub's API, from what the stand-in remembers."""

from __future__ import annotations

from foundry.devkit.github.access import LEVELS, Access, Caller
from foundry.devkit.github.repos import GitError, Repositories, git
from foundry.devkit.github.store import Doc, Store


class Shapes:
    """Builds answers; `url` is the server's own address."""

    def __init__(self, store: Store, repositories: Repositories, access: Access, url: str) -> None:
        self.store, self.repositories, self.access = store, repositories, access
        self.web = url
        self.api = f"{url}/api/v3"

    def account(self, login: str) -> Doc:
        """A user or an organization, short."""
        org = self.store.get("org", login)
        body = org or self.store.get("user", login) or {"id": 10137, "login": "ghost", "type": "User"}
        return {
            "id": body["id"], "login": body["login"], "type": body["type"], "node_id": f"U_{body['id']}",
            "avatar_url": f"{self.web}/_avatars/{body['login']}.svg", "html_url": f"{self.web}/{body['login']}",
            "url": f"{self.api}/{'orgs' if org else 'users'}/{body['login']}", "site_admin": False,
        }  # fmt: skip

    def user(self, login: str) -> Doc:
        """A user, whole."""
        body = self.store.get("user", login) or {}
        return self.account(login) | {
            "name": body.get("name"),
            "email": body.get("email"),
            "created_at": "2024-01-01T00:00:00Z",
        }

    def repo(self, repo: Doc, caller: Caller | None = None) -> Doc:
        name = f"{repo['owner']}/{repo['name']}"
        body = {
            "id": repo["id"], "node_id": f"R_{repo['id']}", "name": repo["name"], "full_name": name,
            "private": repo["private"], "owner": self.account(repo["owner"]), "description": repo["description"],
            "html_url": f"{self.web}/{name}", "url": f"{self.api}/repos/{name}", "clone_url": f"{self.web}/{name}.git",
            "default_branch": repo["default_branch"], "fork": False, "archived": False, "disabled": False,
            "visibility": "private" if repo["private"] else "public",
            "created_at": repo["created_at"], "updated_at": repo["updated_at"], "pushed_at": repo["updated_at"],
        }  # fmt: skip
        if caller and caller.kind == "user":
            level = LEVELS[self.access.role(repo, caller.login)]
            body["permissions"] = {
                "pull": level >= 1, "triage": level >= 2, "push": level >= 3, "maintain": level >= 4, "admin": level >= 5
            }  # fmt: skip
        return body

    def installation(self, body: Doc) -> Doc:
        account = self.account(body["account"])
        return {
            "id": body["id"], "account": account, "app_id": int(self.store.app()["app_id"]), "app_slug": "foundry-sample",
            "target_id": account["id"], "target_type": account["type"], "repository_selection": "all",
            "permissions": self.access.granted(None), "events": ["push", "pull_request", "create", "delete"],
            "suspended_at": body["suspended_at"], "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
            "access_tokens_url": f"{self.api}/app/installations/{body['id']}/access_tokens",
            "repositories_url": f"{self.api}/installation/repositories", "html_url": f"{self.web}/settings/installations/{body['id']}",
        }  # fmt: skip

    def branch(self, repo: Doc, name: str, sha: str) -> Doc:
        url = f"{self.api}/repos/{repo['owner']}/{repo['name']}/commits/{sha}"
        return {"name": name, "commit": {"sha": sha, "url": url}, "protected": False}

    def pull(self, repo: Doc, pull: Doc, *, whole: bool = True) -> Doc:
        """A pull request as `get` gives it; lists leave out what has to be worked out."""
        name = f"{repo['owner']}/{repo['name']}"
        open_ = pull["state"] == "open"
        heads = self.repositories.heads(repo)
        head_sha: str = (heads.get(pull["head"]) if open_ else None) or pull["head_sha"]
        base_sha: str = (heads.get(pull["base"]) if open_ else None) or pull["base_sha"]
        ref = {"repo": self.repo(repo), "user": self.account(repo["owner"])}
        body = {
            "id": 70_000_000 + pull["number"] + repo["id"] * 1000, "node_id": f"PR_{repo['id']}_{pull['number']}",
            "number": pull["number"], "state": pull["state"], "locked": False, "title": pull["title"], "body": pull["body"],
            "draft": pull["draft"], "user": self.account(pull["user"]), "labels": [], "assignees": [], "requested_reviewers": [],
            "requested_teams": [], "milestone": None, "author_association": "MEMBER",
            "html_url": f"{self.web}/{name}/pull/{pull['number']}", "url": f"{self.api}/repos/{name}/pulls/{pull['number']}",
            "created_at": pull["created_at"], "updated_at": pull["updated_at"], "closed_at": pull["closed_at"],
            "merged_at": pull["merged_at"], "merge_commit_sha": pull["merge_commit_sha"],
            "head": {"label": f"{repo['owner']}:{pull['head']}", "ref": pull["head"], "sha": head_sha, **ref},
            "base": {"label": f"{repo['owner']}:{pull['base']}", "ref": pull["base"], "sha": base_sha, **ref},
        }  # fmt: skip
        if whole:
            files = self.repositories.files(repo, base_sha, head_sha)
            body |= {
                "merged": pull["merged_at"] is not None, "merged_by": self.account(pull["merged_by"]) if pull["merged_by"] else None,
                "mergeable": self.mergeable(repo, base_sha, head_sha) if open_ else None, "mergeable_state": "clean",
                "commits": len(self.repositories.commits(repo, base_sha, head_sha)), "changed_files": len(files),
                "additions": sum(f["additions"] for f in files), "deletions": sum(f["deletions"] for f in files),
                "comments": 0, "review_comments": 0, "maintainer_can_modify": False, "rebaseable": None,
            }  # fmt: skip
        return body

    def mergeable(self, repo: Doc, base: str, head: str) -> bool:
        path = self.repositories.path(repo)
        if git("merge-base", base, head, cwd=path) == base:
            return True
        try:
            git("merge-tree", "--write-tree", base, head, cwd=path)
        except GitError:
            return False
        return True
