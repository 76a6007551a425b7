"""Changes of pull requests, from the API, a page or a push."""

from __future__ import annotations

from foundry.devkit.github.branches import ZERO, Branches
from foundry.devkit.github.gitting import Conflict, Who, git, merge, rebase, squash
from foundry.devkit.github.hooks import Hooks
from foundry.devkit.github.refusals import NOT_FOUND, Refusal, invalid, not_supplied
from foundry.devkit.github.repos import Repositories
from foundry.devkit.github.shapes import BOT, Shapes
from foundry.devkit.github.store import Doc, Store, now

METHODS = ("merge", "squash", "rebase")
NOT_MERGEABLE = "Pull Request is not mergeable"


class Pulls:
    """Changes of pull requests, each with its webhook."""

    def __init__(
        self, store: Store, repositories: Repositories, shapes: Shapes, hooks: Hooks, branches: Branches
    ) -> None:
        self.store, self.repositories, self.shapes, self.hooks = store, repositories, shapes, hooks
        self.branches = branches
        branches.on_moved = self._branch_moved
        branches.on_renamed = self._branch_renamed

    def of(self, repo: Doc) -> list[Doc]:
        """Return a repository's pull requests, the oldest first."""
        return sorted((p for p in self.store.all("pull") if p["repo"] == repo["id"]), key=lambda p: p["number"])

    def get(self, repo: Doc, number: int) -> Doc:
        found = self.store.get("pull", f"{repo['id']}/{number}")
        if found is None:
            raise Refusal(404, NOT_FOUND)
        return found

    def create(self, repo: Doc, wish: Doc, by: str) -> Doc:
        """Open a pull request.

        1. Check the required fields. 2. Both branches exist. 3. They have no open pull request. 4. There are commits.

        Raises:
            Refusal: 422, in GitHub's wording.
        """
        missing = [field for field in ("title", "head", "base") if not wish.get(field)]
        if missing:
            raise not_supplied(*missing)
        owner, base = repo["owner"], str(wish["base"])
        head = str(wish["head"])
        if head.lower().startswith(f"{owner.lower()}:"):
            head = head.partition(":")[2]
        heads = self.repositories.heads(repo)
        for field, name in (("head", head), ("base", base)):
            if name not in heads:
                raise invalid("PullRequest", field=field)
        self._only_one(repo, head, base)
        if self.repositories.merge_base(repo, heads[base], heads[head]) is None:
            message = f"The {head} branch has no history in common with {base}"
            raise invalid("PullRequest", code="custom", message=message)
        if not self.repositories.commits(repo, heads[base], heads[head]):
            raise invalid("PullRequest", code="custom", message=f"No commits between {base} and {head}")
        pull = {
            "repo": repo["id"], "number": self.store.next(f"pulls/{repo['id']}"), "title": str(wish["title"]),
            "body": wish.get("body"), "draft": bool(wish.get("draft")), "head": head, "base": base,
            "head_sha": heads[head], "base_sha": heads[base], "state": "open", "user": by, "created_at": now(),
            "updated_at": now(), "closed_at": None, "merged_at": None, "merged_by": None, "merge_commit_sha": None,
            "labels": [], "reviewers": [],
        }  # fmt: skip
        self._put(repo, pull)
        self._tell(repo, pull, "opened", by)
        return pull

    def _only_one(self, repo: Doc, head: str, base: str) -> None:
        if any(p["state"] == "open" and (p["head"], p["base"]) == (head, base) for p in self.of(repo)):
            message = f"A pull request already exists for {repo['owner']}:{head}."
            raise invalid("PullRequest", code="custom", message=message)

    def edit(self, repo: Doc, pull: Doc, wish: Doc, by: str) -> Doc:
        """Change title, body, base and state. Each kind of change is reported; unchanged values are not."""
        changes: Doc = {}
        changed = dict(pull)
        for field in ("title", "body"):
            if field in wish and wish[field] != pull[field]:
                changes[field] = {"from": pull[field]}
                changed[field] = wish[field]
        if wish.get("base") and wish["base"] != pull["base"]:
            changes["base"] = self._new_base(repo, pull, str(wish["base"]))
            changed |= {"base": wish["base"], "base_sha": self.repositories.heads(repo)[wish["base"]]}
        if changes:
            changed["updated_at"] = now()
            self._put(repo, changed)
            self._tell(repo, changed, "edited", by, {"changes": changes})
        state = wish.get("state", changed["state"])
        if state not in ("open", "closed"):
            raise invalid("PullRequest", field="state")
        if state == "closed" and changed["state"] == "open":
            changed = self._close(repo, changed, by)
        elif state == "open" and changed["state"] == "closed":
            changed = self._reopen(repo, changed, by)
        return changed

    def _new_base(self, repo: Doc, pull: Doc, base: str) -> Doc:
        heads = self.repositories.heads(repo)
        if base not in heads or pull["state"] != "open":
            raise invalid("PullRequest", field="base")
        self._only_one(repo, pull["head"], base)
        head_sha = self.shapes.ends(repo, pull)[1]
        if not self.repositories.commits(repo, heads[base], head_sha):
            message = f"There are no new commits between base branch '{base}' and head branch '{pull['head']}'"
            raise invalid("PullRequest", field="base", message=message)
        return {"ref": {"from": pull["base"]}, "sha": {"from": pull["base_sha"]}}

    def _close(self, repo: Doc, pull: Doc, by: str) -> Doc:
        base_sha, head_sha = self.shapes.ends(repo, pull)
        closed = pull | {"state": "closed", "closed_at": now(), "updated_at": now()}
        closed |= {"base_sha": base_sha, "head_sha": head_sha}
        self._put(repo, closed)
        self._tell(repo, closed, "closed", by)
        return closed

    def _reopen(self, repo: Doc, pull: Doc, by: str) -> Doc:
        heads = self.repositories.heads(repo)
        for name in (pull["head"], pull["base"]):
            if name not in heads:
                message = f"state cannot be changed. The {name} branch has been deleted."
                raise invalid("PullRequest", field="state", message=message)
        if pull["merged_at"]:
            raise invalid("PullRequest", field="state", message="state cannot be changed. The pull request is merged.")
        if any(p["state"] == "open" and (p["head"], p["base"]) == (pull["head"], pull["base"]) for p in self.of(repo)):
            message = (
                f"state cannot be changed. There is already an open pull request from {pull['head']} to {pull['base']}."
            )
            raise invalid("PullRequest", field="state", message=message)
        opened = pull | {"state": "open", "closed_at": None, "updated_at": now(), "head_sha": heads[pull["head"]]}
        self._put(repo, opened)
        self._tell(repo, opened, "reopened", by)
        return opened

    def ready(self, repo: Doc, pull: Doc, by: str, *, draft: bool = False) -> Doc:
        """Mark a draft as ready, or the other way round. GitHub's REST API cannot do this; its pages can."""
        if pull["draft"] == draft or pull["state"] != "open":
            return pull
        changed = pull | {"draft": draft, "updated_at": now()}
        self._put(repo, changed)
        self._tell(repo, changed, "converted_to_draft" if draft else "ready_for_review", by)
        return changed

    def label(self, repo: Doc, pull: Doc, labels: list[str], by: str) -> Doc:
        """Set the labels."""
        before = pull.get("labels", [])
        changed = pull | {"labels": list(dict.fromkeys(labels)), "updated_at": now()}
        if changed["labels"] == before:
            return pull
        self._put(repo, changed)
        for action, names in (("labeled", set(labels) - set(before)), ("unlabeled", set(before) - set(labels))):
            for name in sorted(names):
                self._tell(repo, changed, action, by, {"label": self.shapes.label(repo, name)})
        return changed

    def review(self, repo: Doc, pull: Doc, reviewers: list[str], by: str) -> Doc:
        """Set the requested reviewers."""
        before = pull.get("reviewers", [])
        changed = pull | {"reviewers": list(dict.fromkeys(reviewers)), "updated_at": now()}
        self._put(repo, changed)
        for action, logins in (
            ("review_requested", set(reviewers) - set(before)),
            ("review_request_removed", set(before) - set(reviewers)),
        ):
            for login in sorted(logins):
                self._tell(repo, changed, action, by, {"requested_reviewer": self.shapes.account(login)})
        return changed

    # merging

    def merge(self, repo: Doc, pull: Doc, wish: Doc, by: str) -> Doc:
        """Merge into the base.

        1. Check that it is open, not a draft, and has the expected head. 2. Create the commit. 3. Record that it is
        being merged, so that the next start finishes a merge that a kill interrupted. 4. Move the base.

        Raises:
            Refusal: 405 not mergeable, 409 the head has changed, 422 unknown method.
        """
        heads = self.repositories.heads(repo)
        head_sha, base_sha = heads.get(pull["head"]), heads.get(pull["base"])
        method = wish.get("merge_method") or "merge"
        if method not in METHODS:
            raise invalid("PullRequest", field="merge_method")
        if pull["state"] != "open" or head_sha is None or base_sha is None:
            raise Refusal(405, NOT_MERGEABLE)
        if pull["draft"]:
            raise Refusal(405, "Pull Request is still a draft")
        if wish.get("sha") and wish["sha"] != head_sha:
            raise Refusal(409, "Head branch was modified. Review and try the merge again.")
        try:
            sha = self._merged(repo, pull, wish, method, (base_sha, head_sha), self._who(by))
        except Conflict:
            raise Refusal(405, NOT_MERGEABLE) from None
        merging = {"sha": sha, "by": by, "base_sha": base_sha, "head_sha": head_sha}
        self._put(repo, pull | {"merging": merging})
        git("update-ref", f"refs/heads/{pull['base']}", sha, base_sha, cwd=self.repositories.path(repo))
        return self._finish(repo, pull, merging)

    def _merged(self, repo: Doc, pull: Doc, wish: Doc, method: str, ends: tuple[str, str], who: Who) -> str:
        path, (base, head), number = self.repositories.path(repo), ends, pull["number"]
        if method == "rebase":
            return rebase(path, base, head)
        if method == "squash":
            commits = self.repositories.commits(repo, base, head)
            text = "\n\n".join(f"* {c['message']}" for c in commits) if len(commits) > 1 else ""
            title = wish.get("commit_title") or f"{pull['title']} (#{number})"
            message = f"{title}\n\n{wish.get('commit_message') or text}"
            return squash(path, base, head, message.strip() + "\n", who)
        title = wish.get("commit_title") or f"Merge pull request #{number} from {repo['owner']}/{pull['head']}"
        message = f"{title}\n\n{wish.get('commit_message') or pull['title']}"
        return merge(path, base, head, message.strip() + "\n", who)

    def _who(self, login: str) -> Who:
        person = self.store.get("user", login)
        if person:
            return person["name"] or login, person["email"]
        return login, f"9001+{BOT}@users.noreply.github.test"

    def _finish(self, repo: Doc, pull: Doc, merging: Doc) -> Doc:
        merged = {k: v for k, v in pull.items() if k != "merging"} | {
            "state": "closed", "merged_at": now(), "closed_at": now(), "updated_at": now(), "merged_by": merging["by"],
            "merge_commit_sha": merging["sha"], "head_sha": merging["head_sha"], "base_sha": merging["base_sha"],
        }  # fmt: skip
        self._put(repo, merged)
        self.branches.observe(repo, merging["by"])
        self._tell(repo, merged, "closed", merging["by"])
        return merged

    def recover(self) -> None:
        """After a kill: finish merges whose base has moved, then report the other moved branches."""
        for repo in self.repositories.started():
            for pull in self.of(repo):
                merging = pull.get("merging")
                if merging is None:
                    continue
                if self.repositories.is_ancestor(repo, merging["sha"], f"refs/heads/{pull['base']}"):
                    self._finish(repo, pull, merging)
                else:
                    self._put(repo, {k: v for k, v in pull.items() if k != "merging"})
            self.branches.observe(repo, BOT)

    # effects of moved branches

    def _branch_moved(self, repo: Doc, name: str, old: str, new: str, by: str) -> None:
        """A moved head is a new version, a deleted head closes, and a base that contains the head merges."""
        for pull in self.of(repo):
            if pull["state"] != "open" or pull.get("merging"):
                continue
            if name == pull["head"] and new != ZERO:
                self._put(repo, moved := pull | {"head_sha": new, "updated_at": now()})
                self._tell(repo, moved, "synchronize", by, {"before": old, "after": new})
            elif name in (pull["head"], pull["base"]) and new == ZERO:
                self._close(repo, pull, by)
            elif name == pull["base"] and self.repositories.is_ancestor(repo, pull["head_sha"], new):
                merged = pull | {
                    "state": "closed", "merged_at": now(), "closed_at": now(), "updated_at": now(), "merged_by": by,
                    "merge_commit_sha": new, "base_sha": old,
                }  # fmt: skip
                self._put(repo, merged)
                self._tell(repo, merged, "closed", by)

    def _branch_renamed(self, repo: Doc, old: str, new: str, _: str, by: str) -> None:
        for pull in self.of(repo):
            if pull["state"] == "open" and pull["base"] == old:
                self._put(repo, moved := pull | {"base": new, "updated_at": now()})
                changes = {"base": {"ref": {"from": old}, "sha": {"from": pull["base_sha"]}}}
                self._tell(repo, moved, "edited", by, {"changes": changes})

    def _put(self, repo: Doc, pull: Doc) -> None:
        """Store it. Its head stays reachable as refs/pull/N/head, even after the branch is deleted."""
        ref = f"refs/pull/{pull['number']}/head"
        git("update-ref", ref, pull["head_sha"], cwd=self.repositories.path(repo))
        self.store.put("pull", f"{repo['id']}/{pull['number']}", pull)

    def _tell(self, repo: Doc, pull: Doc, action: str, by: str, more: Doc | None = None) -> None:
        fresh = action in ("opened", "synchronize", "reopened")
        described = self.shapes.pull(repo, pull, fresh=fresh)
        payload = {"action": action, "number": pull["number"], "pull_request": described, **(more or {})}
        self.hooks.send("pull_request", payload, account=repo["owner"], sender=by, repo=repo)

    # comments

    def comment(self, repo: Doc, pull: Doc, body: str, by: str) -> Doc:
        key = self.store.next("comment") + 60_000
        comment = {
            "id": key,
            "repo": repo["id"],
            "issue": pull["number"],
            "body": body,
            "user": by,
            "created_at": now(),
        }
        self.store.put("comment", key, comment)
        self._put(repo, pull | {"updated_at": now()})
        payload = {
            "action": "created",
            "issue": self.shapes.issue(repo, pull),
            "comment": self.shapes.comment(repo, comment),
        }
        self.hooks.send("issue_comment", payload, account=repo["owner"], sender=by, repo=repo)
        return comment
