"""Changes of branches, from a push, the API or a page.

The last reported state of each branch is stored. `observe` compares it with the current state and reports the
difference, so a push is reported once even if the process was killed right after git accepted it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from foundry.devkit.github.access import Access
from foundry.devkit.github.gitting import git
from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.refusals import NOT_FOUND, Refusal, invalid
from foundry.devkit.github.repos import Repositories
from foundry.devkit.github.roles import LEVELS
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store, now

ZERO = "0" * 40
SHOWN_COMMITS = 20  # in a push event; GitHub shows at most 2,048

Moved = Callable[[Doc, str, str, str, str], None]
"""Called for each branch that moved, with repository, branch, before, after, and the login."""


class Branches:
    """Changes of branches, each with its webhook."""

    def __init__(self, store: Store, repositories: Repositories, shapes: Shapes, hooks: Hooks, access: Access) -> None:
        self.store, self.repositories, self.shapes, self.hooks = store, repositories, shapes, hooks
        self.access = access
        self.rename_delay = 0.05  # seconds until a rename's effects are complete
        self.on_moved: Moved = lambda *_: None
        self.on_renamed: Moved = lambda *_: None

    def observe(self, repo: Doc, by: str) -> None:
        """1. Finish renames. 2. Report each branch that was created, deleted or moved. 3. Store the new state."""
        self._finish_renames(repo)
        after = self.repositories.heads(repo)
        before = self.store.get("heads", repo["id"])
        if before is not None and before != after:
            repo |= {"updated_at": now(), "pushed_at": now()}
            self.store.put("repo", repo["id"], repo)
            for name in sorted(before.keys() | after.keys()):
                old, new = before.get(name, ZERO), after.get(name, ZERO)
                if old != new:
                    self._tell(repo, name, old, new, by)
                    self.on_moved(repo, name, old, new, by)
        if before != after:
            self.store.put("heads", repo["id"], after)

    def _tell(self, repo: Doc, name: str, old: str, new: str, by: str) -> None:
        where = {"account": repo["owner"], "sender": by, "repo": repo}
        ref = {"ref": name, "ref_type": "branch", "pusher_type": "user"}
        if old == ZERO:
            created = ref | {"master_branch": repo["default_branch"], "description": repo["description"]}
            self.hooks.send("create", created, **where)
        if new == ZERO:
            self.hooks.send("delete", ref, **where)
        self.hooks.send("push", self._push(repo, name, old, new, by), **where)

    def _push(self, repo: Doc, name: str, old: str, new: str, by: str) -> Doc:
        person = self.store.get("user", by) or {}
        commits: list[Doc] = []
        base = old if old != ZERO else self.repositories.heads(repo).get(repo["default_branch"])
        if new != ZERO and base and base != new:
            found = self.repositories.commits(repo, base, new)
            commits = [self._pushed_commit(repo, commit) for commit in found[-SHOWN_COMMITS:]]
        head = self.repositories.commits(repo, None, new, 1)[0] if new != ZERO else None
        path = f"{self.shapes.web}/{repo['owner']}/{repo['name']}/compare"
        return {
            "ref": f"refs/heads/{name}", "before": old, "after": new, "created": old == ZERO, "deleted": new == ZERO,
            "forced": ZERO not in (old, new) and not self.repositories.is_ancestor(repo, old, new), "base_ref": None,
            "compare": f"{path}/{old[:12]}...{new[:12]}", "commits": commits,
            "head_commit": self._pushed_commit(repo, head) if head else None,
            "pusher": {"name": by, "email": person.get("email")},
        }  # fmt: skip

    def _pushed_commit(self, repo: Doc, commit: Doc) -> Doc:
        files = self.repositories.files_of(repo, commit)
        names = {
            word: [f["filename"] for f in files if f["status"] in which]
            for word, which in {"added": ("added", "copied"), "removed": ("removed",), "modified": ("modified", "renamed")}.items()
        }  # fmt: skip
        body = {"id": commit["sha"], "tree_id": commit["tree"], "distinct": True, "message": commit["message"]}
        people = {
            role: {"name": commit[role]["name"], "email": commit[role]["email"]} for role in ("author", "committer")
        }
        url = f"{self.shapes.web}/{repo['owner']}/{repo['name']}/commit/{commit['sha']}"
        return body | {"timestamp": commit["committer"]["date"], "url": url} | people | names

    # through the API

    def create(self, repo: Doc, branch: str, sha: str, by: str) -> None:
        """Create a branch at a commit."""
        if branch in self.repositories.heads(repo):
            raise Refusal(422, "Reference already exists")
        if not self.repositories.well_named(branch):
            raise Refusal(422, f"refs/heads/{branch} is not a valid ref name.")
        if len(sha) != 40 or self.repositories.sha(repo, sha) != sha:
            raise Refusal(422, "Object does not exist")
        git("update-ref", f"refs/heads/{branch}", sha, cwd=self.repositories.path(repo))
        self.observe(repo, by)

    def move(self, repo: Doc, branch: str, sha: str, *, force: bool, by: str) -> None:
        """Move a branch to another commit."""
        old = self.repositories.heads(repo).get(branch)
        if old is None:
            raise Refusal(422, "Reference does not exist")
        if len(sha) != 40 or self.repositories.sha(repo, sha) != sha:
            raise Refusal(422, "Object does not exist")
        if not force and not self.repositories.is_ancestor(repo, old, sha):
            raise Refusal(422, "Update is not a fast forward")
        git("update-ref", f"refs/heads/{branch}", sha, cwd=self.repositories.path(repo))
        self.observe(repo, by)

    def delete(self, repo: Doc, branch: str, by: str) -> None:
        heads = self.repositories.heads(repo)
        if branch not in heads:
            raise Refusal(422, "Reference does not exist")
        if branch == repo["default_branch"]:
            raise Refusal(422, "Cannot delete the default branch")
        git("update-ref", "-d", f"refs/heads/{branch}", cwd=self.repositories.path(repo))
        self.observe(repo, by)

    def rename(self, repo: Doc, old: str, new: str, by: str, *, admin: bool) -> None:
        """Rename a branch like GitHub: the branch has its new name at once, and the effects follow in the background.

        An open pull request with this base is retargeted; one with this head is closed (isaacs/github #1913).
        """
        heads = self.repositories.heads(repo)
        if old not in heads:
            raise Refusal(404, NOT_FOUND)
        if old == repo["default_branch"] and not admin:
            raise Refusal(403, "Only a repository's administrators may rename its default branch.")
        if not new or not self.repositories.well_named(new):
            raise invalid("Branch", field="new_name")
        if new in heads:
            raise invalid("Branch", field="new_name", code="already_exists")
        self.store.put("renaming", f"{repo['id']}/{old}", {"repo": repo["id"], "old": old, "new": new, "by": by})
        git("branch", "-m", old, new, cwd=self.repositories.path(repo))
        loop = asyncio.get_running_loop()
        loop.call_later(self.rename_delay, lambda: self.observe(self.store.get("repo", repo["id"]) or repo, by))

    def _finish_renames(self, repo: Doc) -> None:
        for job in self.store.all("renaming"):
            if job["repo"] != repo["id"]:
                continue
            if job["new"] in self.repositories.heads(repo):  # otherwise a kill came before git renamed it
                self.store.put("renamed", f"{repo['id']}/{job['old']}", {"new": job["new"]})
                if repo["default_branch"] == job["old"]:
                    repo["default_branch"] = job["new"]
                    self.store.put("repo", repo["id"], repo)
                    changes = {"default_branch": {"from": job["old"]}}
                    payload = {"action": "edited", "changes": changes}
                    self.hooks.send("repository", payload, account=repo["owner"], sender=job["by"], repo=repo)
                self.on_renamed(repo, job["old"], job["new"], "", job["by"])
            self.store.remove("renaming", f"{repo['id']}/{job['old']}")

    def being_renamed(self, repo: Doc) -> list[str]:
        """Return the old names that nobody can push to until their rename's effects are complete."""
        return [job["old"] for job in self.store.all("renaming") if job["repo"] == repo["id"]]

    def new_name(self, repo: Doc, old: str) -> str | None:
        """Return the current name of a branch that once had this name."""
        found = self.store.get("renamed", f"{repo['id']}/{old}")
        return found["new"] if found else None

    def may_administer(self, repo: Doc, login: str) -> bool:
        return LEVELS[self.access.role(repo, login)] >= LEVELS["admin"]
