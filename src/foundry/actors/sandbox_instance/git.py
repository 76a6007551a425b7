"""Git in a sandbox, run by Foundry through the process API (DESIGN 6).

An agent may have left hooks or config behind, so: an absolute git path; hooks, fsmonitor and credential helpers off;
system and global config off; and a local config that can run programs or rewrite URLs is refused. The credential is
an HTTP header in the environment of the one command that needs it: never on disk, in argv or in the remote's URL.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol, overload
from urllib.parse import urlsplit

from foundry.contracts.branch_names import BranchTaken
from foundry.contracts.people import Person
from foundry.contracts.sandbox_instance import BaseMissing, GitConfigRefused, GitFailed, GitNotVisible, GitRejected
from foundry.contracts.sandbox_provider import ProcessResult, SandboxGone, SandboxRefused
from foundry.contracts.task import ChangedFile, WorkTree
from foundry.sandboxes.scripts import script

DIFF_LIMIT = 256 * 1024  # characters of a stored diff
FILES_LIMIT = 500  # files that are not committed and are named
LISTED = 40  # changed files that are listed
QUICK = 30.0  # seconds for a command that touches no network
FORWARD_LIMIT = 120.0  # seconds; a large work tree is written once

SAFE = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.pager": "cat",
    "credential.helper": "",
    "protocol.allow": "never",
    "protocol.http.allow": "always",
    "protocol.https.allow": "always",
    "gc.auto": "0",
}

DANGEROUS = re.compile(
    r"^(include\.|includeif\.|filter\.|url\.|credential\.|gpg\.|protocol\.|http\.|alias\.|uploadpack\.|trace2\.|"
    r"core\.(sshcommand|gitproxy|askpass|hookspath|fsmonitor|alternaterefscommand|worktree|editor|pager)$|"
    r"diff\.external$|diff\..*\.(command|textconv)$|merge\..*\.driver$|extensions\.worktreeconfig$|"
    r"remote\..*\.(proxy|uploadpack|receivepack|vcs|proxyauthmethod)$|submodule\..*\.update$)"
)

NO_PROGRAM = (126, 127)  # a shell's exit codes for a program that it cannot run
NOT_SPAWNED = "failed to spawn process"  # the error of sandbox-agent 0.4.2 for a program that it cannot run
NO_REPOSITORY = re.compile(r"fatal: (not a git repository|unable to read config file)")

CLONE, FETCH, FORWARD = script("git-clone"), script("git-fetch"), script("git-forward")
RENAME, FORK = script("git-rename"), script("git-fork")


class Runner(Protocol):
    """Runs one command in a sandbox to its end."""

    async def __call__(
        self, argv: Sequence[str], *, cwd: str | None, env: Mapping[str, str], timeout: float
    ) -> ProcessResult: ...


def environment(url: str | None = None, token: str | None = None) -> dict[str, str]:
    """What git gets to see: no config but ours, and the credential for one origin if there is one."""
    config = dict(SAFE)
    if url and token:
        parts = urlsplit(url)
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        config[f"http.{parts.scheme}://{parts.netloc}/.extraHeader"] = f"Authorization: Basic {basic}"
    env = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "LC_ALL": "C",
        "GIT_CONFIG_COUNT": str(len(config)),
    }
    for number, (key, value) in enumerate(config.items()):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    return env


class Git:
    """Git on one work tree."""

    def __init__(self, run: Runner, path: str, *, git: str = "/usr/bin/git") -> None:
        self._run = run
        self._path = path
        self._git = git

    async def clone(self, url: str, *, branch: str, base: str, person: Person, token: str) -> str:
        """Clone and cut the branch from its base, or check it out if GitHub has it. Return the head.

        Raises:
            BaseMissing: the base is not on GitHub.
        """
        argv = ["/bin/sh", "-c", CLONE, "clone", self._git, self._path, url, branch, base]
        argv += [person.name or person.login, person.email or f"{person.login}@users.noreply.github.com"]
        done = await self._run(argv, cwd=None, env=environment(url, token), timeout=590.0)
        if done.exit_code == 64:
            raise BaseMissing(f"the repository has no branch {base}", field="base")
        return self._checked(done, "clone").strip()

    async def work_tree(self, base: str) -> WorkTree:
        """What is committed, pushed and changed, of a branch with this base."""
        await self._refuse_dangerous_config()
        await self.script(FORK, base, limit=QUICK)
        head = (await self._read("rev-parse", "HEAD")).strip()
        ahead = int(await self._read("rev-list", "--count", "refs/foundry/base..HEAD"))
        pushed = (await self._read("for-each-ref", "--format=%(objectname)", "refs/foundry/pushed")).strip()
        known = ["refs/foundry/base", *([pushed] if pushed else [])]
        unpushed = int(await self._read("rev-list", "--count", "HEAD", "--not", *known))
        behind = int(await self._read("rev-list", "--count", f"HEAD..{pushed}")) if pushed else 0
        status = await self._read("status", "--porcelain=v1", "-z", "--untracked-files=all")
        diff = await self._read("diff", "--no-ext-diff", "--no-textconv", "--no-color", "refs/foundry/base", "--")
        numbers = await self._read(
            "diff", "--no-ext-diff", "--no-textconv", "--numstat", "-z", "refs/foundry/base", "--"
        )
        files = changed_files(numbers)
        return WorkTree(
            head=head,
            commits_ahead=ahead,
            unpushed=unpushed,
            upstream=pushed,
            behind=behind,
            changed_files=_names(status)[:FILES_LIMIT],
            insertions=sum(one.added for one in files),
            deletions=sum(one.removed for one in files),
            files=files[:LISTED],
            more_files=max(0, len(files) - LISTED),
            diff=diff[:DIFF_LIMIT],
            diff_cut=len(diff) > DIFF_LIMIT,
            seen_at=datetime.now(UTC),
        )

    async def push(self, url: str, *, branch: str, token: str) -> str:
        """Push the branch as it is. Return the head that GitHub now has.

        Raises:
            GitRejected: GitHub has commits that are not here.
        """
        await self._refuse_dangerous_config()
        head = (await self._read("rev-parse", "HEAD")).strip()
        argv = [self._git, "push", "--porcelain", "--no-verify", url, f"{head}:refs/heads/{branch}"]
        done = await self._run(argv, cwd=self._path, env=environment(url, token), timeout=290.0)
        if done.exit_code != 0 and re.search(r"^!.*\[(rejected|remote rejected)\]", done.stdout, re.MULTILINE):
            raise GitRejected(done.stdout.strip()[-500:])
        self._checked(done, "push")
        await self._read("update-ref", "refs/foundry/pushed", head)
        await self._read("update-ref", f"refs/remotes/origin/{branch}", head)
        return head

    async def fetch(self, url: str, *, branch: str, base: str, token: str) -> str | None:
        """Fetch both branches into refs/remotes/origin. Return the branch's head on GitHub; None if it is not there."""
        await self._refuse_dangerous_config()
        argv = ["/bin/sh", "-c", FETCH, "fetch", self._git, url, branch, base]
        done = await self._run(argv, cwd=self._path, env=environment(url, token), timeout=290.0)
        return self._checked(done, "fetch").strip() or None

    async def forward(self, branch: str) -> int:
        """Bring branch and files forward to what was fetched, if it is checked out, nothing is uncommitted, and it has
        no commits of its own; gives by how many commits."""
        return int((await self.script(FORWARD, branch, limit=FORWARD_LIMIT)).strip() or 0)

    async def rename_branch(self, old: str, new: str) -> None:
        """Rename it with what it follows; index and files stay as they are. One that is not there is not a failure:
        what is pushed is what is checked out.

        Raises:
            BranchTaken: there is another branch of that name.
        """
        if await self.script(RENAME, old, new, limit=QUICK, may_end=66) is None:
            raise BranchTaken(
                f"the sandbox has another branch {new!r}",
                field="name",
                remedy="Choose another name, or delete it there.",
            )

    @overload
    async def script(self, text: str, *arguments: str, limit: float) -> str: ...
    @overload
    async def script(self, text: str, *arguments: str, limit: float, may_end: int) -> str | None: ...
    async def script(self, text: str, *arguments: str, limit: float, may_end: int | None = None) -> str | None:
        """A shell script in the work tree, whose first argument is git; without a credential.

        Args:
            limit: seconds.
            may_end: an exit code that is an answer; then there is none.
        """
        argv = ["/bin/sh", "-c", text, "foundry", self._git, *arguments]
        done = await self._run(argv, cwd=self._path, env=environment(), timeout=limit)
        return None if may_end is not None and done.exit_code == may_end else self._checked(done, "script")

    async def _read(self, *arguments: str) -> str:
        done = await self._run([self._git, "--no-pager", *arguments], cwd=self._path, env=environment(), timeout=QUICK)
        return self._checked(done, arguments[0])

    async def _refuse_dangerous_config(self) -> None:
        config = f"{self._path}/.git/config"
        argv = [self._git, "config", "--file", config, "--no-includes", "--list", "-z", "--name-only"]
        try:
            listed = await self._run(argv, cwd=None, env=environment(), timeout=QUICK)
        except SandboxRefused as refused:
            if NOT_SPAWNED in refused.detail:
                raise self._not_visible() from refused
            raise
        names = {name for name in self._checked(listed, "config").split("\0") if name}
        bad = sorted(name for name in names if DANGEROUS.match(name.lower()))
        if bad:
            raise GitConfigRefused(f"{config} has {', '.join(bad)}")

    def _checked(self, done: ProcessResult, what: str) -> str:
        if done.timed_out:
            raise GitFailed(f"git {what} did not end in time")
        if what != "clone" and done.exit_code == 128 and NO_REPOSITORY.search(done.stderr):
            raise SandboxGone("git finds no repository in the sandbox any more")
        if done.exit_code in NO_PROGRAM and f"{self._git}: " in done.stderr:
            raise self._not_visible()
        if done.exit_code != 0:
            words = (done.stderr or done.stdout).strip()[-800:]
            raise GitFailed(f"git {what} ended with {done.exit_code}: {words}")
        return done.stdout

    def _not_visible(self) -> GitNotVisible:
        return GitNotVisible(f"{self._git}, which Foundry selected at its start, does not run in the sandbox")


def _names(status: str) -> list[str]:
    """The files of `git status --porcelain=v1 -z`; a rename's second field is its old name."""
    names: list[str] = []
    fields = iter(status.split("\0"))
    for field in fields:
        if len(field) > 3:
            names.append(field[3:])
            if field[0] in "RC":
                next(fields, None)
    return names


def changed_files(numstat: str) -> list[ChangedFile]:
    """What `git diff --numstat -z` says; of a renamed file its new name."""
    found: list[ChangedFile] = []
    fields = iter(numstat.split("\0"))
    for field in fields:
        if not field:
            continue
        added, removed, path = field.split("\t", 2)
        if not path:  # renamed: the old name and the new one follow
            next(fields)
            path = next(fields)
        found.append(ChangedFile(path=path, added=_count(added), removed=_count(removed)))
    return found


def _count(text: str) -> int:
    """Lines; a binary file has `-`."""
    return int(text) if text.isdigit() else 0
