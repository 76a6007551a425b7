"""REST for pull requests, and for the comments and labels that they share with issues."""

from __future__ import annotations

from foundry.devkit.github.access import Access
from foundry.devkit.github.asking import Answer, Ask, Listed
from foundry.devkit.github.pulls import Pulls
from foundry.devkit.github.refusals import NOT_BY_APP, NOT_FOUND, Refusal, invalid, not_supplied
from foundry.devkit.github.repos import Repositories
from foundry.devkit.github.roles import LEVELS
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store

NO_COLLABORATOR = (
    "Reviews may only be requested from collaborators. One or more of the users or teams you specified is not a "
    "collaborator of the {name} repository."
)


class PullRoutes:
    """Calls under /repos/{owner}/{name}: pulls and issues. Pull requests are the only issues."""

    def __init__(self, store: Store, access: Access, repos: Repositories, shapes: Shapes, pulls: Pulls) -> None:
        self.store, self.access, self.repos, self.shapes, self.pulls = store, access, repos, shapes, pulls

    def route(self, ask: Ask, repo: Doc, rest: list[str]) -> Answer:
        match [ask.method, *rest]:
            case ["GET", "pulls"]:
                self.access.need(ask.caller, repo, "pull_requests")
                return 200, Listed(self._filtered(ask, repo), lambda p: self.shapes.pull(repo, p, whole=False))
            case ["POST", "pulls"]:
                self.access.need(ask.caller, repo, "pull_requests", "write")
                return 201, self.shapes.pull(repo, self.pulls.create(repo, ask.body, ask.by), fresh=True)
            case [_, "pulls", number, *more] if number.isdigit():
                return self._pull(ask, repo, int(number), more)
            case [_, "issues", number, *more] if number.isdigit():
                return self._issue(ask, repo, int(number), more)
        raise Refusal(404, NOT_FOUND)

    def _filtered(self, ask: Ask, repo: Doc) -> list[Doc]:
        state, head, base = ask.query("state", "open"), ask.query("head"), ask.query("base")
        owner, colon, branch = head.partition(":")
        found = [
            p for p in self.pulls.of(repo)
            if state in ("all", p["state"]) and (not base or p["base"] == base)
            and (not colon or (owner.lower() == repo["owner"].lower() and p["head"] == branch))
        ]  # fmt: skip
        by = "updated_at" if ask.query("sort") == "updated" else "created_at"
        down = ask.query("direction", "asc" if by == "updated_at" else "desc") != "asc"
        return sorted(found, key=lambda p: (p[by], p["number"]), reverse=down)

    def _pull(self, ask: Ask, repo: Doc, number: int, more: list[str]) -> Answer:
        merging = ask.method == "PUT" and more == ["merge"]
        if merging:
            self.access.need(ask.caller, repo, "contents", "write")
        else:
            self.access.need(ask.caller, repo, "pull_requests", "read" if ask.method == "GET" else "write")
        pull = self.pulls.get(repo, number)
        match [ask.method, *more]:
            case ["GET"]:
                return 200, self.shapes.pull(repo, pull)
            case ["PATCH"]:
                return 200, self.shapes.pull(repo, self.pulls.edit(repo, pull, ask.body, ask.by))
            case ["GET", "files"]:
                base, head = self.shapes.ends(repo, pull)
                return 200, Listed(self.repos.files(repo, base, head), lambda f: self.shapes.file(repo, f, head))
            case ["GET", "commits"]:
                found = self.repos.commits(repo, *self.shapes.ends(repo, pull))
                return 200, Listed(found, lambda c: self.shapes.commit(repo, c))
            case ["GET", "merge"]:
                if pull["merged_at"]:
                    return 204, None
            case ["PUT", "merge"]:
                merged = self.pulls.merge(repo, pull, ask.body, ask.by)
                words = "Pull Request successfully merged"
                return 200, {"sha": merged["merge_commit_sha"], "merged": True, "message": words}
            case ["GET", "reviews" | "comments"]:
                return 200, []
            case [_, "requested_reviewers"]:
                return self._reviewers(ask, repo, pull)
        raise Refusal(404, NOT_FOUND)

    def _reviewers(self, ask: Ask, repo: Doc, pull: Doc) -> Answer:
        now: list[str] = pull.get("reviewers", [])
        if ask.method == "GET":
            return 200, {"users": [self.shapes.account(login) for login in now], "teams": []}
        wanted = [str(login) for login in ask.body.get("reviewers", [])]
        if ask.method == "DELETE":
            return 200, self.shapes.pull(
                repo, self.pulls.review(repo, pull, [r for r in now if r not in wanted], ask.by)
            )
        if pull["user"] in wanted:
            raise Refusal(422, "Review cannot be requested from pull request author.")
        if any(self.store.get("user", login) is None or self.access.role(repo, login) == "none" for login in wanted):
            raise Refusal(422, NO_COLLABORATOR.format(name=f"{repo['owner']}/{repo['name']}"))
        return 201, self.shapes.pull(repo, self.pulls.review(repo, pull, [*now, *wanted], ask.by))

    def _issue(self, ask: Ask, repo: Doc, number: int, more: list[str]) -> Answer:
        """For a pull request, either the pull_requests or the issues permission is enough."""
        level = "read" if ask.method == "GET" else "write"
        if not any(self.access.allowed(ask.caller, repo, what, level) for what in ("issues", "pull_requests")):
            ask.caller.accepted = f"issues={level}; pull_requests={level}"
            raise Refusal(401, "Requires authentication") if ask.caller.kind == "nobody" else Refusal(403, NOT_BY_APP)
        if level == "write":
            self.access.writable(repo)
        pull = self.pulls.get(repo, number)
        match [ask.method, *more]:
            case ["GET"]:
                return 200, self.shapes.issue(repo, pull)
            case ["GET", "comments"]:
                return 200, Listed(self.shapes.comments_of(repo, number), lambda c: self.shapes.comment(repo, c))
            case ["POST", "comments"]:
                body = ask.body.get("body")
                if body is None:
                    raise not_supplied("body")
                if not isinstance(body, str) or not body.strip():
                    raise invalid("IssueComment", field="data", code="unprocessable", message="Body cannot be blank")
                return 201, self.shapes.comment(repo, self.pulls.comment(repo, pull, body, ask.by))
            case [_, "labels", *name]:
                return self._labels(ask, repo, pull, name)
        raise Refusal(404, NOT_FOUND)

    def _labels(self, ask: Ask, repo: Doc, pull: Doc, name: list[str]) -> Answer:
        now: list[str] = pull.get("labels", [])
        given = ask.body.get("labels", ask.body.get("", []))
        wanted = [str(one["name"] if isinstance(one, dict) else one) for one in given]
        if ask.method != "GET":
            if ask.caller.kind == "user" and LEVELS[self.access.role(repo, ask.caller.login)] < LEVELS["triage"]:
                raise Refusal(403, "Must have triage access to repository.")
            if ask.method == "DELETE" and name and "/".join(name) not in now:
                raise Refusal(404, "Label does not exist")
            kept = {"POST": [*now, *wanted], "PUT": wanted, "DELETE": [n for n in now if name and n != "/".join(name)]}
            pull = self.pulls.label(repo, pull, kept.get(ask.method, now), ask.by)
        if ask.method == "DELETE" and not name:
            return 204, None
        return 200, [self.shapes.label(repo, one) for one in pull.get("labels", [])]
