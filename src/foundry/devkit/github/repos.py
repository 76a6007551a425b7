"""The stand-in's repositories: the samples, and reading repositories with git."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from foundry.devkit.cast import ORGANIZATIONS, PEOPLE, REPOSITORIES, SampleRepository
from foundry.devkit.github.gitting import GitError, git, holds, is_ancestor
from foundry.devkit.github.store import Doc, Store, now

ADA = ("Ada Byron", "1001+ada@users.noreply.github.test")

GUARD = """#!/bin/sh
# A GitHub App without the workflows permission changes nothing below .github/workflows.
[ -n "$DEVKIT_NO_WORKFLOWS" ] || exit 0
zero=0000000000000000000000000000000000000000
while read -r old new ref; do
  [ "$new" = "$zero" ] && continue
  [ "$old" = "$zero" ] && old=$(git merge-base HEAD "$new" || git hash-object -t tree /dev/null)
  file=$(git diff --name-only "$old" "$new" -- .github/workflows | head -n 1)
  if [ -n "$file" ]; then
    echo "refusing to allow a GitHub App to create or update workflow \\`$file\\` without \\`workflows\\` permission" >&2
    exit 1
  fi
done
"""


class Repositories:
    """All repositories of the stand-in."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.root = store.directory / "repositories"
        self.root.mkdir(exist_ok=True)

    # the samples

    def seed(self) -> None:
        """Create the sample people, organizations and repositories, each once. Deleted ones stay deleted."""
        for person in PEOPLE:
            email = f"{person.id}+{person.login}@users.noreply.github.test"
            body = {"id": person.id, "login": person.login, "name": person.name, "email": email, "type": "User"}
            self._once("user", person.login, body)
        for org in ORGANIZATIONS:
            body = {
                "id": org.id, "login": org.login, "name": org.name, "type": "Organization", "members": org.members,
                "base": org.base, "sso": False,
            }  # fmt: skip
            self._once("org", org.login, body)
            if org.installation:
                installed = {"id": org.installation, "account": org.login, "suspended_at": None, "repositories": None}
                self._once("installation", org.installation, installed)
        for sample in REPOSITORIES:
            if self._first("repo", sample.id):
                self.make(sample)
                self._made("repo", sample.id)

    def _once(self, kind: str, key: object, body: Doc) -> None:
        if self._first(kind, key):
            self.store.put(kind, key, body)
            self._made(kind, key)

    def _first(self, kind: str, key: object) -> bool:
        return self.store.get(kind, key) is None and self.store.get("made", f"{kind}/{key}") is None

    def _made(self, kind: str, key: object) -> None:
        self.store.put("made", f"{kind}/{key}", {})

    def make(self, sample: SampleRepository) -> Doc:
        """Create a bare repository with the sample's files as its first commit."""
        self._bare(sample, self.root / f"{sample.id}.git")
        body = self._body(
            sample.id, sample.owner, sample.name, sample.description, private=sample.private, access=dict(sample.access)
        )
        self.store.put("heads", sample.id, self.heads(body))
        return self.store.put("repo", sample.id, body)

    def promise(self, number: int, owner: str, name: str, *, private: bool, access: dict[str, str]) -> None:
        """Create a repository that has no git directory until something needs it."""
        body = self._body(number, owner, name, "", private=private, access=access) | {"promised": True}
        self.store.put("repo", number, body)

    def _body(
        self, number: int, owner: str, name: str, description: str, *, private: bool, access: dict[str, str]
    ) -> Doc:
        return {
            "id": number, "name": name, "owner": owner, "description": description, "private": private,
            "default_branch": "main", "access": access, "archived": False,
            "created_at": now(), "updated_at": now(), "pushed_at": now(),
        }  # fmt: skip

    def _bare(self, sample: SampleRepository, path: Path) -> None:
        """Create the git directory beside its place and move it there, so that it is whole or absent after a kill."""
        partial = path.with_suffix(".partial")
        for old in (partial, path):
            shutil.rmtree(old, ignore_errors=True)
        git("init", "--quiet", "--bare", "--initial-branch=main", str(partial), cwd=self.root)
        for key, value in (("http.receivepack", "true"), ("receive.hideRefs", "refs/pull"), ("gc.auto", "0")):
            git("config", key, value, cwd=partial)
        guard = partial / "hooks" / "pre-receive"
        guard.parent.mkdir(exist_ok=True)
        guard.write_text(GUARD)
        guard.chmod(0o755)
        if sample.files:
            self._first_commit(sample, partial)
        partial.rename(path)

    def _first_commit(self, sample: SampleRepository, path: Path) -> None:
        with tempfile.TemporaryDirectory() as made:
            tree = Path(made)
            for name, content in sample.files.items():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).write_text(content)
            git("init", "--quiet", "--initial-branch=main", cwd=tree)
            git("add", ".", cwd=tree)
            git("commit", "--quiet", "-m", "Start", cwd=tree, who=ADA)
            git("push", "--quiet", str(path), "main", cwd=tree)

    # finding

    def find(self, owner: str, name: str) -> Doc | None:
        """Return the repository with this name. Case does not matter, as on GitHub."""
        wanted = (owner.lower(), name.lower())
        return next((r for r in self.store.all("repo") if (r["owner"].lower(), r["name"].lower()) == wanted), None)

    def moved(self, owner: str, name: str) -> Doc | None:
        """Return the repository that had this name earlier."""
        moved = self.store.get("moved", f"{owner}/{name}".lower())
        return self.store.get("repo", moved["repo"]) if moved else None

    def path(self, repo: Doc) -> Path:
        """Return the git directory. A promised one is created now, with one commit."""
        path = self.root / f"{repo['id']}.git"
        if repo.get("promised") and not path.exists():
            files = {"README.md": f"# {repo['name']}\n"}
            self._bare(SampleRepository(repo["id"], repo["owner"], repo["name"], "", repo["private"], files), path)
            self.store.put("heads", repo["id"], self.heads(repo))
        return path

    def started(self) -> list[Doc]:
        """Return the repositories that have a git directory."""
        return [r for r in self.store.all("repo") if not r.get("promised") or (self.root / f"{r['id']}.git").exists()]

    # reading

    def heads(self, repo: Doc) -> dict[str, str]:
        """Return each branch's commit."""
        listed = git("for-each-ref", "--format=%(objectname) %(refname:strip=2)", "refs/heads", cwd=self.path(repo))
        return {line.split(" ", 1)[1]: line.split(" ", 1)[0] for line in listed.splitlines()}

    def sha(self, repo: Doc, ref: str) -> str | None:
        """Return the commit of a branch, a tag or a (short) id."""
        if not ref or ref.startswith("-"):
            return None
        for full in (f"refs/heads/{ref}", ref):
            try:
                return git("rev-parse", "--verify", "--quiet", f"{full}^{{commit}}", cwd=self.path(repo))
            except GitError:
                continue
        return None

    def well_named(self, branch: str) -> bool:
        return not branch.startswith("-") and holds(self.root, "check-ref-format", "--branch", branch)

    def commits(self, repo: Doc, base: str | None, head: str, limit: int | None = None) -> list[Doc]:
        """Return the commits that head has and base does not, oldest first. Without a base: the newest `limit` ones."""
        form = "%H%x1f%T%x1f%P%x1f%an%x1f%ae%x1f%aI%x1f%cn%x1f%ce%x1f%cI%x1f%B%x1e"
        span = ["--reverse", f"{base}..{head}"] if base else [head]
        most = [f"--max-count={limit}"] if limit else []
        listed = git("log", f"--format={form}", *most, *span, "--", cwd=self.path(repo))
        found: list[Doc] = []
        for record in filter(None, (part.strip("\n") for part in listed.split("\x1e"))):
            sha, tree, parents, *people, message = record.split("\x1f")
            author = dict(zip(("name", "email", "date"), people[:3], strict=True))
            committer = dict(zip(("name", "email", "date"), people[3:], strict=True))
            found.append({
                "sha": sha, "tree": tree, "parents": parents.split(), "author": author, "committer": committer,
                "message": message.strip(),
            })  # fmt: skip
        return found

    def files(self, repo: Doc, base: str, head: str) -> list[Doc]:
        """Return the changes between the merge base and head."""
        return self._changed(repo, f"{base}...{head}")

    def files_of(self, repo: Doc, commit: Doc) -> list[Doc]:
        """Return the changes of one commit."""
        before = (commit["parents"] or [git("hash-object", "-t", "tree", "/dev/null", cwd=self.path(repo))])[0]
        return self._changed(repo, before, commit["sha"])

    def _changed(self, repo: Doc, *span: str) -> list[Doc]:
        path, words = self.path(repo), {"A": "added", "D": "removed", "R": "renamed", "C": "copied"}
        raw = git("diff", "--raw", "-z", "-M", "--abbrev=40", *span, "--", cwd=path).split("\0")
        counts = _counts(git("diff", "--numstat", "-z", "-M", *span, "--", cwd=path))
        patches = _patches(git("diff", "-M", *span, "--", cwd=path))
        found: list[Doc] = []
        parts = iter(raw)
        for head in parts:
            if not head.startswith(":"):
                continue
            _, _, _, blob, kind = head.split(" ")
            name, before = next(parts), None
            if kind[0] in "RC":
                before, name = name, next(parts)
            plus, minus = counts.get(name, (0, 0))
            patch = patches[len(found)] if len(found) < len(patches) else ""
            file = {
                "sha": blob, "filename": name, "status": words.get(kind[0], "modified"), "additions": plus,
                "deletions": minus, "changes": plus + minus,
            }  # fmt: skip
            found.append(file | ({"patch": patch} if patch else {}) | ({"previous_filename": before} if before else {}))
        return found

    def diff(self, repo: Doc, base: str, head: str) -> str:
        return git("diff", "-M", f"{base}...{head}", "--", cwd=self.path(repo))

    def merge_base(self, repo: Doc, base: str, head: str) -> str | None:
        try:
            return git("merge-base", base, head, cwd=self.path(repo))
        except GitError:
            return None

    def is_ancestor(self, repo: Doc, old: str, new: str) -> bool:
        return is_ancestor(self.path(repo), old, new)


def _counts(numstat: str) -> dict[str, tuple[int, int]]:
    """Return each file's added and removed lines. A binary file has none."""
    found: dict[str, tuple[int, int]] = {}
    parts = iter(numstat.split("\0"))
    for part in parts:
        if not part:
            continue
        plus, minus, name = part.split("\t", 2)
        if not name:  # a rename: the old and the new name follow
            next(parts)
            name = next(parts)
        found[name] = (int(plus) if plus.isdigit() else 0, int(minus) if minus.isdigit() else 0)
    return found


def _patches(diff: str) -> list[str]:
    """Return each file's patch from its first hunk on, in order. Empty for a file without hunks."""
    whole: list[list[str]] = []
    for line in diff.splitlines():
        if line.startswith("diff --git "):
            whole.append([])
        elif whole and (whole[-1] or line.startswith("@@")):
            whole[-1].append(line)
    return ["\n".join(lines) for lines in whole]
