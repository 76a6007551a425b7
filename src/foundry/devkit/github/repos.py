"""The bare git repositories behind the stand-in, and what is read from and done in them with git itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from foundry.devkit.cast import ORGANIZATIONS, PEOPLE, REPOSITORIES, SampleRepository
from foundry.devkit.github.store import Doc, Store, now

ENV = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


class GitError(Exception):
    """A git command failed; the text is git's."""


def git(
    *arguments: str, cwd: Path, stdin: str | None = None, who: tuple[str, str] = ("GitHub", "noreply@github.test")
) -> str:
    """Run git to its end and give what it printed.

    Raises:
        GitError: it failed.
    """
    env = os.environ | ENV
    env |= {
        "GIT_AUTHOR_NAME": who[0],
        "GIT_AUTHOR_EMAIL": who[1],
        "GIT_COMMITTER_NAME": who[0],
        "GIT_COMMITTER_EMAIL": who[1],
    }
    done = subprocess.run(["git", *arguments], cwd=cwd, env=env, input=stdin, capture_output=True, text=True)
    if done.returncode != 0:
        raise GitError(done.stderr.strip() or done.stdout.strip())
    return done.stdout.strip()


class Repositories:
    """All repositories of the stand-in."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.root = store.directory / "repositories"
        self.root.mkdir(exist_ok=True)

    def seed(self) -> None:
        """Make the sample people, organizations and repositories, once."""
        for person in PEOPLE:
            if not self.store.get("user", person.login):
                email = f"{person.id}+{person.login}@users.noreply.github.test"
                body = {"id": person.id, "login": person.login, "name": person.name, "email": email, "type": "User"}
                self.store.put("user", person.login, body)
        for org in ORGANIZATIONS:
            if not self.store.get("org", org.login):
                body = {
                    "id": org.id,
                    "login": org.login,
                    "name": org.name,
                    "members": org.members,
                    "type": "Organization",
                }
                self.store.put("org", org.login, body)
            if org.installation and not self.store.get("installation", org.installation):
                self.store.put(
                    "installation",
                    org.installation,
                    {"id": org.installation, "account": org.login, "suspended_at": None},
                )
        for sample in REPOSITORIES:
            if not self.store.get("repo", sample.id):
                self._make(sample)

    def _make(self, sample: SampleRepository) -> None:
        path = self.root / f"{sample.id}.git"
        shutil.rmtree(path, ignore_errors=True)
        git("init", "--quiet", "--bare", "--initial-branch=main", str(path), cwd=self.root)
        git("config", "http.receivepack", "true", cwd=path)
        with tempfile.TemporaryDirectory() as made:
            tree = Path(made)
            for name, content in sample.files.items():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                (tree / name).write_text(content)
            git("init", "--quiet", "--initial-branch=main", cwd=tree)
            git("add", ".", cwd=tree)
            git("commit", "--quiet", "-m", "Start", cwd=tree, who=("Ada Byron", "ada@users.noreply.github.test"))
            git("push", "--quiet", str(path), "main", cwd=tree)
        body = {
            "id": sample.id, "name": sample.name, "owner": sample.owner, "description": sample.description,
            "private": sample.private, "default_branch": "main", "access": sample.access,
            "created_at": now(), "updated_at": now(),
        }  # fmt: skip
        self.store.put("repo", sample.id, body)

    def find(self, owner: str, name: str) -> Doc | None:
        wanted = (owner.lower(), name.lower())
        return next((r for r in self.store.all("repo") if (r["owner"].lower(), r["name"].lower()) == wanted), None)

    def path(self, repo: Doc) -> Path:
        return self.root / f"{repo['id']}.git"

    def heads(self, repo: Doc) -> dict[str, str]:
        """Branch -> commit."""
        listed = git("for-each-ref", "--format=%(objectname) %(refname:strip=2)", "refs/heads", cwd=self.path(repo))
        return {line.split(" ", 1)[1]: line.split(" ", 1)[0] for line in listed.splitlines()}

    def sha(self, repo: Doc, ref: str) -> str | None:
        try:
            return git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", cwd=self.path(repo))
        except GitError:
            return None

    def commits(self, repo: Doc, base: str, head: str) -> list[Doc]:
        """What head has and base has not, oldest first."""
        form = "%H%x1f%an%x1f%ae%x1f%aI%x1f%B%x1e"
        listed = git("log", "--reverse", f"--format={form}", f"{base}..{head}", cwd=self.path(repo))
        found: list[Doc] = []
        for record in filter(None, (part.strip("\n") for part in listed.split("\x1e"))):
            sha, name, email, date, message = record.split("\x1f")
            author = {"name": name, "email": email, "date": date}
            found.append({"sha": sha, "commit": {"message": message.strip(), "author": author, "committer": author}})
        return found

    def files(self, repo: Doc, base: str, head: str) -> list[Doc]:
        """What changed between their merge base and head."""
        numbers = git("diff", "--numstat", f"{base}...{head}", cwd=self.path(repo))
        found: list[Doc] = []
        for line in numbers.splitlines():
            plus, minus, name = line.split("\t", 2)
            plus_n, minus_n = (int(n) if n.isdigit() else 0 for n in (plus, minus))
            found.append({
                "filename": name, "status": "modified", "additions": plus_n, "deletions": minus_n,
                "changes": plus_n + minus_n,
                "patch": git("diff", f"{base}...{head}", "--", name, cwd=self.path(repo)),
            })  # fmt: skip
        return found

    def diff(self, repo: Doc, base: str, head: str) -> str:
        return git("diff", f"{base}...{head}", cwd=self.path(repo))

    def merge(self, repo: Doc, base: str, head: str, *, method: str, message: str, who: tuple[str, str]) -> str:
        """Merge head into the branch base; gives the new commit.

        Raises:
            GitError: they conflict.
        """
        path = self.path(repo)
        base_sha, head_sha = self.sha(repo, f"refs/heads/{base}"), self.sha(repo, head)
        assert base_sha
        assert head_sha
        if git("merge-base", base_sha, head_sha, cwd=path) == base_sha:
            tree = git("rev-parse", f"{head_sha}^{{tree}}", cwd=path)
        else:
            tree = git("merge-tree", "--write-tree", base_sha, head_sha, cwd=path).splitlines()[0]
        parents = ["-p", base_sha] + (["-p", head_sha] if method == "merge" else [])
        commit = git("commit-tree", tree, *parents, cwd=path, stdin=message, who=who)
        git("update-ref", f"refs/heads/{base}", commit, base_sha, cwd=path)
        return commit
