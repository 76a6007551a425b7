"""REST for repositories: branches, refs, commits, comparisons, collaborators."""

from __future__ import annotations

from foundry.devkit.github.access import Access
from foundry.devkit.github.asking import Answer, Ask, Listed
from foundry.devkit.github.branches import Branches
from foundry.devkit.github.refusals import NOT_FOUND, Moved, Refusal, not_supplied
from foundry.devkit.github.repos import Repositories
from foundry.devkit.github.rest_pulls import PullRoutes
from foundry.devkit.github.roles import LEVELS
from foundry.devkit.github.shapes import Shapes
from foundry.devkit.github.store import Doc, Store

MOST_COMMITS = 250  # maximum in a comparison


class RepositoryRoutes:
    """Calls about a repository, found by its name or its id."""

    def __init__(
        self, store: Store, access: Access, repos: Repositories, shapes: Shapes, branches: Branches, pulls: PullRoutes
    ) -> None:
        self.store, self.access, self.repos, self.shapes = store, access, repos, shapes
        self.branches, self.pulls = branches, pulls

    def route(self, ask: Ask) -> Answer | None:
        match ask.path:
            case ["repositories", number, *rest]:
                return self._repo(ask, self.access.need(ask.caller, self.store.get("repo", number)), rest)
            case ["repos", owner, name, *rest]:
                repo = self.repos.find(owner, name)
                if repo is None and (moved := self.repos.moved(owner, name)):
                    self.access.need(ask.caller, moved)
                    raise Moved(f"{self.shapes.api}/{'/'.join(['repositories', str(moved['id']), *rest])}")
                return self._repo(ask, self.access.need(ask.caller, repo), rest)
        return None

    def _repo(self, ask: Ask, repo: Doc, rest: list[str]) -> Answer:
        match [ask.method, *rest]:
            case ["GET"]:
                return 200, self.shapes.repo(repo, ask.caller)
            case [_, "branches", *name]:
                return self._branches(ask, repo, name)
            case [_, "git", *what]:
                return self._refs(ask, repo, what)
            case ["GET", "commits" | "compare", *what]:
                return self._commits(ask, repo, rest[0], what)
            case ["GET", "collaborators", *who]:
                return self._collaborators(ask, repo, who)
            case [_, "pulls" | "issues", *_]:
                return self.pulls.route(ask, repo, rest)
        raise Refusal(404, NOT_FOUND)

    def _branches(self, ask: Ask, repo: Doc, name: list[str]) -> Answer:
        if ask.method == "POST" and len(name) > 1 and name[-1] == "rename":
            old, new = "/".join(name[:-1]), ask.body.get("new_name")
            default = old == repo["default_branch"]  # only an administrator may rename the default branch
            self.access.need(ask.caller, repo, *(("administration", "write") if default else ("contents", "write")))
            if not isinstance(new, str):
                raise not_supplied("new_name")
            person = ask.caller.login if ask.caller.kind == "user" else None
            admin = person is None or self.branches.may_administer(repo, person)
            self.branches.rename(repo, old, new, ask.by, admin=admin)
            return 201, self.shapes.branch(repo, new, self.repos.heads(repo)[new], whole=True)
        if ask.method != "GET":
            raise Refusal(404, NOT_FOUND)
        self.access.need(ask.caller, repo, "contents")
        heads, branch = self.repos.heads(repo), "/".join(name)
        if not branch:
            listed = [{"name": n, "sha": s} for n, s in sorted(heads.items())]
            return 200, Listed(listed, lambda b: self.shapes.branch(repo, b["name"], b["sha"]))
        if branch in heads:
            return 200, self.shapes.branch(repo, branch, heads[branch], whole=True)
        if new := self.branches.new_name(repo, branch):
            raise Moved(f"{self.shapes.api}/repositories/{repo['id']}/branches/{new}")
        raise Refusal(404, "Branch not found")

    def _refs(self, ask: Ask, repo: Doc, what: list[str]) -> Answer:
        self.access.need(ask.caller, repo, "contents", "read" if ask.method == "GET" else "write")
        heads = self.repos.heads(repo)
        match [ask.method, *what]:
            case ["GET", "ref" | "refs", "heads", *name] if (branch := "/".join(name)) in heads:
                return 200, self.shapes.ref(repo, branch, heads[branch])
            case ["GET", "matching-refs", "heads", *name]:
                found = [{"name": n} for n in sorted(heads) if n.startswith("/".join(name))]
                return 200, Listed(found, lambda b: self.shapes.ref(repo, b["name"], heads[b["name"]]))
            case ["POST", "refs"]:
                ref, sha = str(ask.body.get("ref", "")), str(ask.body.get("sha", ""))
                if not ref or not sha:
                    raise not_supplied(*(n for n in ("ref", "sha") if not ask.body.get(n)))
                if not ref.startswith("refs/heads/"):
                    raise Refusal(422, "Reference name must start with 'refs/heads/'.")
                branch = ref.removeprefix("refs/heads/")
                self.branches.create(repo, branch, sha, ask.by)
                return 201, self.shapes.ref(repo, branch, sha)
            case ["PATCH", "refs", "heads", *name]:
                sha = str(ask.body.get("sha", ""))
                self.branches.move(repo, "/".join(name), sha, force=bool(ask.body.get("force")), by=ask.by)
                return 200, self.shapes.ref(repo, "/".join(name), sha)
            case ["DELETE", "refs", "heads", *name]:
                self.branches.delete(repo, "/".join(name), ask.by)
                return 204, None
        raise Refusal(404, NOT_FOUND)

    def _commits(self, ask: Ask, repo: Doc, kind: str, what: list[str]) -> Answer:
        self.access.need(ask.caller, repo, "contents")
        if kind == "compare":
            return 200, self._compare(repo, "/".join(what))
        if not what:
            sha = self.repos.sha(repo, ask.query("sha", repo["default_branch"]))
            if sha is None:
                raise Refusal(404, NOT_FOUND)
            return 200, Listed(self.repos.commits(repo, None, sha), lambda c: self.shapes.commit(repo, c))
        if what[-1] == "status" and len(what) > 1:
            return 200, {
                "state": "pending",
                "statuses": [],
                "total_count": 0,
                "sha": self.repos.sha(repo, "/".join(what[:-1])),
            }
        if what[-1] == "check-runs" and len(what) > 1:
            return 200, {"total_count": 0, "check_runs": []}
        ref = "/".join(what)
        sha = self.repos.sha(repo, ref)
        if sha is None:
            raise Refusal(422, f"No commit found for SHA: {ref}")
        (commit,) = self.repos.commits(repo, None, sha, 1)
        files = self.repos.files_of(repo, commit)
        plus, minus = sum(f["additions"] for f in files), sum(f["deletions"] for f in files)
        return 200, self.shapes.commit(repo, commit) | {
            "stats": {"additions": plus, "deletions": minus, "total": plus + minus},
            "files": [self.shapes.file(repo, f, sha) for f in files],
        }

    def _compare(self, repo: Doc, spec: str) -> Doc:
        base, dots, head = spec.partition("...")
        base_sha, head_sha = (self.repos.sha(repo, ref.rpartition(":")[2]) for ref in (base, head))
        merge_base = self.repos.merge_base(repo, base_sha, head_sha) if base_sha and head_sha else None
        if not dots or base_sha is None or head_sha is None or merge_base is None:
            raise Refusal(404, NOT_FOUND)
        ahead, behind = (self.repos.commits(repo, *pair) for pair in ((base_sha, head_sha), (head_sha, base_sha)))
        status = {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}
        show = lambda sha: self.shapes.commit(repo, self.repos.commits(repo, None, sha, 1)[0])  # noqa: E731
        html = f"{self.shapes.web}/{repo['owner']}/{repo['name']}/compare/{spec}"
        return {
            "url": f"{self.shapes.api}/repos/{repo['owner']}/{repo['name']}/compare/{spec}", "html_url": html,
            "diff_url": f"{html}.diff", "status": status.get((bool(ahead), bool(behind)), "diverged"),
            "ahead_by": len(ahead), "behind_by": len(behind), "total_commits": len(ahead),
            "base_commit": show(base_sha), "merge_base_commit": show(merge_base),
            "commits": [self.shapes.commit(repo, c) for c in ahead[:MOST_COMMITS]],
            "files": [self.shapes.file(repo, f, head_sha) for f in self.repos.files(repo, base_sha, head_sha)],
        }  # fmt: skip

    def _collaborators(self, ask: Ask, repo: Doc, who: list[str]) -> Answer:
        """A person needs push access to see collaborators; an App needs access to the repository."""
        if ask.caller.kind == "nobody":
            raise Refusal(401, "Requires authentication")
        if ask.caller.kind == "user" and LEVELS[self.access.role(repo, ask.caller.login)] < LEVELS["write"]:
            what = "collaborator permission" if who else "repository collaborators"
            raise Refusal(403, f"Must have push access to view {what}.")
        match who:
            case []:
                found = [
                    {"login": u["login"], "role": r}
                    for u in self.store.all("user")
                    if (r := self._direct(repo, u["login"]))
                ]
                return 200, Listed(found, lambda u: self._collaborator(u["login"], u["role"]))
            case [login] if self.shapes.known(login):
                if self._direct(repo, self.shapes.account(login)["login"]):
                    return 204, None
            case [login, "permission"]:
                person = self.shapes.known(login)
                if person is None or person["type"] != "User":
                    raise Refusal(404, f"{login} is not a user")
                role = self.access.role(repo, person["login"])
                legacy = {"maintain": "write", "triage": "read"}.get(role, role)
                user = self._collaborator(person["login"], role)
                return 200, {"permission": legacy, "role_name": role, "user": user}
        raise Refusal(404, NOT_FOUND)

    def _direct(self, repo: Doc, login: str) -> str | None:
        """Return a person's explicit role. Access that everybody has does not count."""
        role = self.access.roles.explicit(repo, login)
        return role if role != "none" else None

    def _collaborator(self, login: str, role: str) -> Doc:
        return self.shapes.account(login) | {"role_name": role, "permissions": self.shapes.permissions(role)}
