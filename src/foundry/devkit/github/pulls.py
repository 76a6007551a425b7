"""What happens to pull requests and branches, whoever asks for it: API, page or push."""

from __future__ import annotations

from foundry.devkit.github.access import NOT_FOUND, Refusal
from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.repos import GitError, Repositories, git
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store, now

ZERO = "0" * 40


class Pulls:
    """The changes, each with its webhook."""

    def __init__(self, store: Store, repositories: Repositories, shapes: Shapes, hooks: Hooks) -> None:
        self.store, self.repositories, self.shapes, self.hooks = store, repositories, shapes, hooks

    def of(self, repo: Doc) -> list[Doc]:
        return [p for p in self.store.all("pull") if p["repo"] == repo["id"]]

    def get(self, repo: Doc, number: int) -> Doc:
        found = self.store.get("pull", f"{repo['id']}/{number}")
        if found is None:
            raise Refusal(404, NOT_FOUND)
        return found

    def create(self, repo: Doc, wish: Doc, by: str) -> Doc:
        """Open a pull request.

        Raises:
            Refusal: 422, as GitHub words it.
        """

        def invalid(field: str, code: str, message: str | None = None) -> Refusal:
            error = {"resource": "PullRequest", "field": field, "code": code} | (
                {"message": message} if message else {}
            )
            return Refusal(422, "Validation Failed", [error])

        for field in ("title", "head", "base"):
            if not wish.get(field):
                raise Refusal(422, f'Invalid request.\n\n"{field}" wasn\'t supplied.')
        head = wish["head"].removeprefix(f"{repo['owner']}:")
        heads = self.repositories.heads(repo)
        for field, name in (("head", head), ("base", wish["base"])):
            if name not in heads:
                raise invalid(field, "invalid")
        if any(p["state"] == "open" and (p["head"], p["base"]) == (head, wish["base"]) for p in self.of(repo)):
            raise invalid("base", "custom", f"A pull request already exists for {repo['owner']}:{head}.")
        if not self.repositories.commits(repo, wish["base"], head):
            raise invalid("base", "custom", f"No commits between {wish['base']} and {head}")
        pull = {
            "repo": repo["id"], "number": self.store.next(f"pulls/{repo['id']}"), "title": wish["title"], "body": wish.get("body"),
            "draft": bool(wish.get("draft")), "head": head, "base": wish["base"], "head_sha": heads[head],
            "base_sha": heads[wish["base"]], "state": "open", "user": by, "created_at": now(), "updated_at": now(),
            "closed_at": None, "merged_at": None, "merged_by": None, "merge_commit_sha": None,
        }  # fmt: skip
        self._put(repo, pull)
        self._tell(repo, pull, "opened", by)
        return pull

    def edit(self, repo: Doc, pull: Doc, wish: Doc, by: str) -> Doc:
        changed = pull | {k: wish[k] for k in ("title", "body", "base") if k in wish} | {"updated_at": now()}
        state = wish.get("state", pull["state"])
        action = "edited"
        if state != pull["state"]:
            if pull["merged_at"]:
                raise Refusal(
                    422, "Validation Failed", [{"resource": "PullRequest", "field": "state", "code": "invalid"}]
                )
            action = "closed" if state == "closed" else "reopened"
            heads = self.repositories.heads(repo)
            kept = {
                "head_sha": heads.get(pull["head"], pull["head_sha"]),
                "base_sha": heads.get(pull["base"], pull["base_sha"]),
            }
            changed |= {"state": state, "closed_at": now() if state == "closed" else None, **kept}
        self._put(repo, changed)
        self._tell(repo, changed, action, by)
        return changed

    def merge(self, repo: Doc, pull: Doc, wish: Doc, by: str) -> Doc:
        """Merge into the base.

        Raises:
            Refusal: 405 not mergeable, 409 the head is another.
        """
        heads = self.repositories.heads(repo)
        head_sha = heads.get(pull["head"])
        if pull["state"] != "open" or head_sha is None or pull["draft"]:
            raise Refusal(405, "Pull Request is not mergeable")
        if wish.get("sha") and wish["sha"] != head_sha:
            raise Refusal(409, "Head branch was modified. Review and try the merge again.")
        method = wish.get("merge_method", "merge")
        title = wish.get("commit_title") or f"Merge pull request #{pull['number']} from {repo['owner']}/{pull['head']}"
        person = self.store.get("user", by) or {"name": by, "email": "noreply@github.test"}
        base_sha = heads[pull["base"]]
        try:
            sha = self.repositories.merge(
                repo, pull["base"], head_sha, method=method, message=f"{title}\n\n{wish.get('commit_message') or pull['title']}",
                who=(person["name"], person["email"]),
            )  # fmt: skip
        except GitError:
            raise Refusal(405, "Pull Request is not mergeable") from None
        merged = pull | {
            "state": "closed", "merged_at": now(), "closed_at": now(), "updated_at": now(), "merged_by": by,
            "merge_commit_sha": sha, "head_sha": head_sha, "base_sha": base_sha,
        }  # fmt: skip
        self._put(repo, merged)
        self.pushed(repo, {pull["base"]: base_sha}, {pull["base"]: sha}, by)
        self._tell(repo, merged, "closed", by)
        return merged

    def pushed(self, repo: Doc, before: dict[str, str], after: dict[str, str], by: str) -> None:
        """Tell what a push changed, and every open pull request whose head moved."""
        for name in sorted(before.keys() | after.keys()):
            old, new = before.get(name, ZERO), after.get(name, ZERO)
            if old == new:
                continue
            owner = repo["owner"]
            push = {"ref": f"refs/heads/{name}", "before": old, "after": new, "created": old == ZERO, "deleted": new == ZERO,
                    "forced": False, "commits": [], "pusher": {"name": by}}  # fmt: skip
            self.hooks.send("push", push, account=owner, sender=by, repo=repo)
            ref = {"ref": name, "ref_type": "branch", "pusher_type": "user"}
            if old == ZERO:
                self.hooks.send(
                    "create", ref | {"master_branch": repo["default_branch"]}, account=owner, sender=by, repo=repo
                )
            if new == ZERO:
                self.hooks.send("delete", ref, account=owner, sender=by, repo=repo)
            for pull in self.of(repo):
                if pull["state"] == "open" and pull["head"] == name:
                    self._head_moved(repo, pull, old, new, by)

    def _head_moved(self, repo: Doc, pull: Doc, old: str, new: str, by: str) -> None:
        if new == ZERO:
            self._put(
                repo, closed := pull | {"state": "closed", "closed_at": now(), "updated_at": now(), "head_sha": old}
            )
            self._tell(repo, closed, "closed", by)
        else:
            self._put(repo, moved := pull | {"head_sha": new, "updated_at": now()})
            self._tell(repo, moved, "synchronize", by, {"before": old, "after": new})

    def rename_branch(self, repo: Doc, old: str, new: str, by: str) -> None:
        """As GitHub does: a base is retargeted, an open pull request whose head it is gets closed."""
        heads = self.repositories.heads(repo)
        if old not in heads:
            raise Refusal(404, NOT_FOUND)
        if new in heads:
            raise Refusal(422, "Validation Failed", [{"resource": "Branch", "field": "name", "code": "already_exists"}])
        git("branch", "-m", old, new, cwd=self.repositories.path(repo))
        for pull in self.of(repo):
            if pull["state"] == "open" and pull["base"] == old:
                self._put(repo, pull | {"base": new})
        self.pushed(repo, {old: heads[old]}, {new: heads[old]}, by)

    def _put(self, repo: Doc, pull: Doc) -> None:
        self.store.put("pull", f"{repo['id']}/{pull['number']}", pull)

    def _tell(self, repo: Doc, pull: Doc, action: str, by: str, more: Doc | None = None) -> None:
        payload = {
            "action": action,
            "number": pull["number"],
            "pull_request": self.shapes.pull(repo, pull),
            **(more or {}),
        }
        self.hooks.send("pull_request", payload, account=repo["owner"], sender=by, repo=repo)
