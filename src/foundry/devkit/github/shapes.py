"""The JSON shapes of GitHub's API, built from the stand-in's stored data."""

from __future__ import annotations

import re
from datetime import datetime
from urllib.parse import quote

from foundry.devkit.cast import PEOPLE
from foundry.devkit.github.access import Access
from foundry.devkit.github.caller import Caller
from foundry.devkit.github.gitting import Conflict, GitError, merged_tree
from foundry.devkit.github.repos import Repositories
from foundry.devkit.github.roles import LEVELS
from foundry.devkit.github.store import Doc, Store

SLUG = "foundry-sample"
BOT = f"{SLUG}[bot]"
BOT_ID = 9001
EVENTS = [
    "create", "delete", "issue_comment", "member", "membership", "organization", "pull_request", "push", "repository", "team",
    "team_add",
]  # fmt: skip
"""The sample App's events. GitHub always sends `installation` events and similar ones."""


class Shapes:
    """Builds response bodies. `web` is the server's own address."""

    def __init__(self, store: Store, repositories: Repositories, access: Access, url: str) -> None:
        self.store, self.repositories, self.access = store, repositories, access
        self.web = url
        self.api = f"{url}/api/v3"

    # accounts

    def known(self, login: str) -> Doc | None:
        """Return a user, an organization or the App's bot by login. Case does not matter."""
        if login.lower() == BOT:
            return {"id": BOT_ID, "login": BOT, "type": "Bot", "name": None}
        for kind in ("user", "org"):
            if found := self.store.get(kind, login):
                return found
        for kind in ("user", "org"):
            for body in self.store.all(kind):
                if body["login"].lower() == login.lower():
                    return body
        return None

    def by_id(self, number: int) -> Doc | None:
        """Return a user, an organization or the App's bot by its id, which a rename does not change."""
        every = [*self.store.all("user"), *self.store.all("org"), self.known(BOT) or {}]
        return next((body for body in every if body["id"] == number), None)

    def account(self, login: str) -> Doc:
        """Return the short form of a user or an organization."""
        body = self.known(login) or {"id": 10137, "login": "ghost", "type": "User"}
        org, name = body["type"] == "Organization", quote(body["login"])
        return {
            "login": body["login"], "id": body["id"], "node_id": f"{'O' if org else 'U'}_{body['id']}",
            "avatar_url": f"{self.web}/_avatars/{name}.svg", "gravatar_id": "",
            "url": f"{self.api}/users/{name}", "html_url": f"{self.web}/{name}",
            "repos_url": f"{self.api}/users/{name}/repos", "type": body["type"], "site_admin": False,
        }  # fmt: skip

    def user(self, login: str) -> Doc:
        """Return the full form of an account."""
        body = self.known(login) or {}
        return self.account(login) | {
            "name": body.get("name"), "company": None, "blog": "", "location": None, "email": body.get("email"),
            "bio": None, "public_repos": 0, "followers": 0, "following": 0,
            "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
        }  # fmt: skip

    def organization(self, login: str) -> Doc:
        account = self.account(login)
        return {
            "login": account["login"], "id": account["id"], "node_id": account["node_id"],
            "url": f"{self.api}/orgs/{account['login']}", "repos_url": f"{self.api}/orgs/{account['login']}/repos",
            "members_url": f"{self.api}/orgs/{account['login']}/members{{/member}}",
            "avatar_url": account["avatar_url"], "description": None,
        }  # fmt: skip

    def team(self, team: Doc) -> Doc:
        """Return the short form of a team."""
        org = self.account(team["org"])
        url = f"{self.api}/organizations/{org['id']}/team/{team['id']}"
        return {
            "id": team["id"], "node_id": f"T_{team['id']}", "name": team["name"], "slug": team["slug"],
            "description": team["description"], "privacy": "closed", "notification_setting": "notifications_enabled",
            "permission": "pull", "parent": None, "type": "organization", "organization_id": org["id"], "url": url,
            "html_url": f"{self.web}/orgs/{org['login']}/teams/{team['slug']}",
            "members_url": f"{url}/members{{/member}}", "repositories_url": f"{url}/repos",
        }  # fmt: skip

    def team_whole(self, team: Doc) -> Doc:
        return self.team(team) | {
            "members_count": len(team["members"]), "repos_count": len(team["repositories"]),
            "organization": self.organization(team["org"]),
            "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
        }  # fmt: skip

    def by_email(self, email: str) -> Doc | None:
        """Return a commit's author by a known e-mail address, or by GitHub's no-reply address with the id in it."""
        number = re.match(r"(\d+)\+", email)
        for body in self.store.all("user"):
            if body.get("email") == email or (number and int(number[1]) == body["id"]):
                return self.account(body["login"])
        return None

    # the App

    def app(self) -> Doc:
        made = self.store.app()
        return {
            "id": int(made["app_id"]), "slug": SLUG, "node_id": f"A_{made['app_id']}", "client_id": made["client_id"],
            "owner": self._app_owner(), "name": "Foundry sample", "description": "",
            "external_url": self.web, "html_url": f"{self.web}/apps/{SLUG}", "permissions": self.access.grants(None),
            "events": EVENTS, "installations_count": len(self.store.all("installation")),
            "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
        }  # fmt: skip

    def _app_owner(self) -> Doc:
        return self.account((self.by_id(PEOPLE[0].id) or {"login": ""})["login"])

    def installation(self, body: Doc) -> Doc:
        account = self.account(body["account"])
        return {
            "id": body["id"], "account": account, "app_id": int(self.store.app()["app_id"]), "app_slug": SLUG,
            "target_id": account["id"], "target_type": account["type"],
            "repository_selection": "all" if body.get("repositories") is None else "selected",
            "permissions": self.access.grants(body), "events": EVENTS, "single_file_name": None,
            "has_multiple_single_files": False, "single_file_paths": [],
            "suspended_at": body["suspended_at"], "suspended_by": self._app_owner() if body["suspended_at"] else None,
            "created_at": "2024-01-01T00:00:00Z", "updated_at": "2024-01-01T00:00:00Z",
            "access_tokens_url": f"{self.api}/app/installations/{body['id']}/access_tokens",
            "repositories_url": f"{self.api}/installation/repositories", "html_url": f"{self.web}/settings/installations/{body['id']}",
        }  # fmt: skip

    # repositories

    def repo(self, repo: Doc, caller: Caller | None = None) -> Doc:
        name = f"{repo['owner']}/{repo['name']}"
        api = f"{self.api}/repos/{name}"
        body = {
            "id": repo["id"], "node_id": f"R_{repo['id']}", "name": repo["name"], "full_name": name,
            "private": repo["private"], "owner": self.account(repo["owner"]), "description": repo["description"],
            "html_url": f"{self.web}/{name}", "url": api, "clone_url": f"{self.web}/{name}.git", "git_url": f"{self.web}/{name}.git",
            "default_branch": repo["default_branch"], "fork": False, "archived": repo.get("archived", False), "disabled": False,
            "visibility": "private" if repo["private"] else "public", "topics": [], "has_issues": True,
            "branches_url": f"{api}/branches{{/branch}}", "pulls_url": f"{api}/pulls{{/number}}",
            "created_at": repo["created_at"], "updated_at": repo["updated_at"],
            "pushed_at": repo.get("pushed_at", repo["updated_at"]),
        }  # fmt: skip
        if caller and caller.kind == "user":
            body["permissions"] = self.permissions(self.access.role(repo, caller.login))
        return body

    def pushed_repo(self, repo: Doc) -> Doc:
        """Return a repository in the form of push events, where two of the times are Unix times."""
        body = self.repo(repo)
        for field in ("created_at", "pushed_at"):
            body[field] = int(datetime.fromisoformat(body[field]).timestamp())
        return body | {"master_branch": repo["default_branch"]}

    def permissions(self, role: str) -> Doc:
        level = LEVELS[role]
        names = ("pull", "triage", "push", "maintain", "admin")
        return {name: level >= needed for needed, name in enumerate(names, 1)}

    def branch(self, repo: Doc, name: str, sha: str, *, whole: bool = False) -> Doc:
        body = {"name": name, "commit": {"sha": sha, "url": self._commit_url(repo, sha)}, "protected": False}
        if whole:
            (commit,) = self.repositories.commits(repo, None, sha, 1)
            body["commit"] = self.commit(repo, commit)
        return body

    def ref(self, repo: Doc, branch: str, sha: str) -> Doc:
        url = f"{self.api}/repos/{repo['owner']}/{repo['name']}/git"
        return {
            "ref": f"refs/heads/{branch}", "node_id": f"REF_{repo['id']}_{branch}", "url": f"{url}/refs/heads/{branch}",
            "object": {"type": "commit", "sha": sha, "url": f"{url}/commits/{sha}"},
        }  # fmt: skip

    def _commit_url(self, repo: Doc, sha: str) -> str:
        return f"{self.api}/repos/{repo['owner']}/{repo['name']}/commits/{sha}"

    def commit(self, repo: Doc, commit: Doc) -> Doc:
        url, html = self._commit_url(repo, commit["sha"]), f"{self.web}/{repo['owner']}/{repo['name']}/commit"
        return {
            "sha": commit["sha"], "node_id": f"C_{commit['sha'][:12]}", "url": url, "html_url": f"{html}/{commit['sha']}",
            "commit": {
                "message": commit["message"], "author": commit["author"], "committer": commit["committer"],
                "tree": {"sha": commit["tree"]}, "url": url, "comment_count": 0,
            },
            "author": self.by_email(commit["author"]["email"]), "committer": self.by_email(commit["committer"]["email"]),
            "parents": [
                {"sha": p, "url": self._commit_url(repo, p), "html_url": f"{html}/{p}"} for p in commit["parents"]
            ],
        }  # fmt: skip

    def file(self, repo: Doc, file: Doc, head: str) -> Doc:
        """Return a changed file with the addresses to read it."""
        name = f"{repo['owner']}/{repo['name']}"
        api = f"{self.api}/repos/{name}/contents/{quote(file['filename'])}?ref={head}"
        return file | {"blob_url": f"{self.web}/{name}/blob/{head}/{quote(file['filename'])}", "contents_url": api}

    # pull requests

    def pull(self, repo: Doc, pull: Doc, *, whole: bool = True, fresh: bool = False) -> Doc:
        """Return a pull request in the form of `get`.

        Args:
            whole: with computed fields, which lists omit.
            fresh: nothing is computed yet, so `mergeable` is unknown.
        """
        name = f"{repo['owner']}/{repo['name']}"
        url, issue = (
            f"{self.api}/repos/{name}/pulls/{pull['number']}",
            f"{self.api}/repos/{name}/issues/{pull['number']}",
        )
        base_sha, head_sha = self.ends(repo, pull)
        ref = {"repo": self.repo(repo), "user": self.account(repo["owner"])}
        body = {
            "id": 70_000_000 + pull["number"] + repo["id"] * 1000, "node_id": f"PR_{repo['id']}_{pull['number']}",
            "number": pull["number"], "state": pull["state"], "locked": False, "title": pull["title"], "body": pull["body"],
            "draft": pull["draft"], "user": self.account(pull["user"]), "author_association": "MEMBER",
            "labels": [self.label(repo, name) for name in pull.get("labels", [])], "assignees": [], "assignee": None,
            "requested_reviewers": [self.account(login) for login in pull.get("reviewers", [])], "requested_teams": [],
            "milestone": None, "auto_merge": None, "active_lock_reason": None,
            "url": url, "issue_url": issue, "comments_url": f"{issue}/comments", "commits_url": f"{url}/commits",
            "html_url": f"{self.web}/{name}/pull/{pull['number']}", "diff_url": f"{self.web}/{name}/pull/{pull['number']}.diff",
            "created_at": pull["created_at"], "updated_at": pull["updated_at"], "closed_at": pull["closed_at"],
            "merged_at": pull["merged_at"], "merge_commit_sha": pull["merge_commit_sha"],
            "head": {"label": f"{repo['owner']}:{pull['head']}", "ref": pull["head"], "sha": head_sha, **ref},
            "base": {"label": f"{repo['owner']}:{pull['base']}", "ref": pull["base"], "sha": base_sha, **ref},
            "_links": {"self": {"href": url}, "html": {"href": f"{self.web}/{name}/pull/{pull['number']}"}, "issue": {"href": issue}},
        }  # fmt: skip
        return body | self._worked_out(repo, pull, base_sha, head_sha, fresh) if whole else body

    def ends(self, repo: Doc, pull: Doc) -> tuple[str, str]:
        """Return its base and head commits: the branches' current ones while it is open, later the recorded ones."""
        if pull["state"] != "open":
            return pull["base_sha"], pull["head_sha"]
        heads = self.repositories.heads(repo)
        base, head = (str(heads.get(pull[end]) or pull[f"{end}_sha"]) for end in ("base", "head"))
        return base, head

    def _worked_out(self, repo: Doc, pull: Doc, base: str, head: str, fresh: bool) -> Doc:
        try:
            files, commits = self.repositories.files(repo, base, head), self.repositories.commits(repo, base, head)
        except GitError:  # the branches no longer have a common history
            files, commits = [], []
        mergeable = self.mergeable(repo, base, head) if pull["state"] == "open" and not fresh else None
        state = "unknown" if mergeable is None else "dirty" if not mergeable else "draft" if pull["draft"] else "clean"
        return {
            "merged": pull["merged_at"] is not None, "merged_by": self.account(pull["merged_by"]) if pull["merged_by"] else None,
            "mergeable": mergeable, "mergeable_state": state, "rebaseable": mergeable,
            "commits": len(commits), "changed_files": len(files),
            "additions": sum(f["additions"] for f in files), "deletions": sum(f["deletions"] for f in files),
            "comments": len(self.comments_of(repo, pull["number"])), "review_comments": 0, "maintainer_can_modify": False,
        }  # fmt: skip

    def mergeable(self, repo: Doc, base: str, head: str) -> bool:
        try:
            merged_tree(self.repositories.path(repo), base, head)
        except (Conflict, GitError):
            return False
        return True

    def label(self, repo: Doc, name: str) -> Doc:
        url = f"{self.api}/repos/{repo['owner']}/{repo['name']}/labels/{quote(name)}"
        number = sum(map(ord, name)) + repo["id"] * 10_000
        return {"id": number, "node_id": f"LA_{number}", "url": url, "name": name, "color": "ededed", "default": False, "description": None}  # fmt: skip

    def issue(self, repo: Doc, pull: Doc) -> Doc:
        """Return a pull request in the form of an issue."""
        body = self.pull(repo, pull, whole=False)
        kept = (
            "number", "title", "body", "state", "user", "labels", "assignees", "milestone", "locked", "draft",
            "html_url", "created_at", "updated_at", "closed_at", "comments_url", "author_association",
        )  # fmt: skip
        link = {
            "url": body["url"],
            "html_url": body["html_url"],
            "diff_url": body["diff_url"],
            "merged_at": body["merged_at"],
        }
        more = {"id": body["id"] + 1, "node_id": f"I_{body['id']}", "url": body["issue_url"], "pull_request": link}
        return {key: body[key] for key in kept} | more | {"comments": len(self.comments_of(repo, pull["number"]))}

    # comments

    def comments_of(self, repo: Doc, number: int) -> list[Doc]:
        return [c for c in self.store.all("comment") if (c["repo"], c["issue"]) == (repo["id"], number)]

    def comment(self, repo: Doc, comment: Doc) -> Doc:
        name, issue = f"{repo['owner']}/{repo['name']}", comment["issue"]
        return {
            "id": comment["id"], "node_id": f"IC_{comment['id']}", "body": comment["body"], "user": self.account(comment["user"]),
            "url": f"{self.api}/repos/{name}/issues/comments/{comment['id']}", "issue_url": f"{self.api}/repos/{name}/issues/{issue}",
            "html_url": f"{self.web}/{name}/pull/{issue}#issuecomment-{comment['id']}", "author_association": "MEMBER",
            "created_at": comment["created_at"], "updated_at": comment["created_at"],
        }  # fmt: skip
